// What a pmem range shows: files, one behind the other or with gaps, and bytes that the VMM made up
// (a partition table). The rest reads as zeroes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/memory/guest_memory.h"

namespace hull {

struct PmemContent {
  // Linux adds device memory in pieces of this size and refuses a range of any other.
  static constexpr uint64_t kSizeUnitBytes = uint64_t{2} * 1024 * 1024;

  // `size_bytes` of the file `fd` from its beginning, seen at `offset_bytes` (page-aligned).
  struct File {
    uint64_t offset_bytes;
    int fd;  // may be closed after MapInto
    uint64_t size_bytes;
  };
  // Made-up bytes; they must not share a page with a file.
  struct Filling {
    uint64_t offset_bytes;
    std::vector<std::byte> data;
  };

  uint64_t size_bytes = 0;  // a multiple of kSizeUnitBytes
  std::vector<File> files;
  std::vector<Filling> fillings;

  // Adds a read-only region at `start` that shows all this. Nothing is read: pages come from the
  // page cache as the guest touches them. kInvalidArgument when a piece lies outside of the range.
  Result<GuestRange> MapInto(GuestMemory& memory, GuestAddress start) const;
};

}  // namespace hull
