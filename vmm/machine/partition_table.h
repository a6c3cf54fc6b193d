// A partition table (GPT) for files that one device shows one behind the other: the n-th file is
// the n-th partition. UEFI 2.10, 5.3. Sectors are of 512 bytes; everything begins at a page, so
// that the guest can use the files in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.h"

namespace hull {

struct PartitionTable {
  struct File {
    std::string name;  // of which the table keeps 36 characters
    uint64_t size_bytes = 0;
  };

  uint64_t size_bytes = 0;              // of the whole device
  std::vector<uint64_t> offsets_bytes;  // where each file begins
  std::vector<std::byte> primary;       // at the beginning of the device
  uint64_t backup_offset_bytes = 0;
  std::vector<std::byte> backup;  // from there to the end of the device

  // `unit_bytes` (a power of two, a page or more) divides the size of the device. Errors:
  // kInvalidArgument for no files, more than 255, an empty file, or sizes beyond 2^60.
  static Result<PartitionTable> Make(std::span<const File> files, uint64_t unit_bytes);
};

}  // namespace hull
