// GuestMemory: the guest's physical memory as mappings of this process, and the only way to it.
//
// Regions are added and files mapped into them while the VM is built; from the first KVM_RUN on the
// layout does not change, so every const function may be called from any thread without a lock.
// The guest runs on other threads and writes whenever it likes: everything read is a copy.
// No pointer into guest memory leaves vmm/memory, save through HostMappings (host_mappings.h), for
// the registration of memslots, and through IoVectors, for the kernel.
//
// It needs no KVM: tests use it as it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/memory/guest_address.h"
#include "vmm/memory/guest_range.h"
#include "vmm/memory/guest_slice.h"

namespace hull {

// What the guest, and devices on its behalf, may do with a region.
enum class GuestAccess {
  kReadWrite,
  kReadOnly,  // a device asked to write there finds no memory
};

class GuestMemory {
 public:
  static constexpr uint64_t kPageBytes = 4096;

  GuestMemory() = default;
  ~GuestMemory();
  GuestMemory(const GuestMemory&) = delete;
  GuestMemory& operator=(const GuestMemory&) = delete;

  // Adds a region of zeroes, populated as it is touched (MAP_NORESERVE), left out of core dumps.
  // Its host address is congruent to `range` modulo 2 MiB, so that huge pages fit on both sides.
  // kInvalidArgument when empty, not page-aligned or overlapping; kExhausted when the host refuses.
  Status AddRegion(const GuestRange& range, GuestAccess access);

  // Maps `size_bytes` of a file, from `file_offset` on, over part of a region that exists: in a
  // kReadWrite region privately (copy on write), in a kReadOnly region shared. `at` and
  // `file_offset` are page-aligned; `size_bytes` is not: the rest of the last page reads as the
  // file's next bytes, or zeroes past its end. The descriptor may be closed afterwards. The file
  // must not shrink.
  Status MapFile(GuestAddress at, int fd, uint64_t file_offset, uint64_t size_bytes);

  // Reads `size_bytes` of a file, from `file_offset` on, into part of a kReadWrite region: for what
  // the guest is going to write anyway. kInvalidArgument when there is no such memory or the file
  // is shorter.
  Status CopyFile(GuestAddress at, int fd, uint64_t file_offset, uint64_t size_bytes);

  // Fills part of a region, kReadOnly ones included: for content that the VMM makes up, before the
  // guest runs. Not over a file in a kReadOnly region (kInvalidArgument).
  Status Initialize(GuestAddress at, std::span<const std::byte> data);

  // What the host should do about a page-aligned piece of one region, before the guest runs. The
  // host may decline (an old kernel, little memory), and then the guest is slower and otherwise the
  // same.
  enum class Hint {
    kSmallPages,  // take memory as the guest touches it, not in blocks of 2 MiB
    kHugePages,   // the guest will touch all of it
    kReadSoon,    // make what is mapped there present now
    kWriteSoon,   // make it present now as if the guest had written: copied, where it is a file's
  };
  void Advise(const GuestRange& range, Hint hint) const;

  // The sum of all kReadWrite regions.
  uint64_t ram_bytes() const;
  // One past the highest address of any region; 0 when there is none.
  GuestAddress end() const;

  // The piece [at, at + size_bytes) if it lies whole in one region that allows it. A piece may not
  // cross from one region to the next: two regions are two objects, even when they touch.
  // An empty piece is nullopt.
  std::optional<GuestSlice> Readable(GuestAddress at, uint64_t size_bytes) const;
  std::optional<GuestSlice> Writable(GuestAddress at, uint64_t size_bytes) const;

  // Copies; false when not all of it is there, and then nothing is copied.
  [[nodiscard]] bool Read(GuestAddress at, std::span<std::byte> out) const;
  [[nodiscard]] bool Write(GuestAddress at, std::span<const std::byte> data) const;

  template <typename T>
    requires std::is_trivially_copyable_v<T>
  std::optional<T> ReadObject(GuestAddress at) const {
    T object = {};
    if (!Read(at, std::as_writable_bytes(std::span(&object, 1)))) return std::nullopt;
    return object;
  }
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  [[nodiscard]] bool WriteObject(GuestAddress at, const T& object) const {
    return Write(at, std::as_bytes(std::span(&object, 1)));
  }

 private:
  friend class HostMappings;

  struct Region {
    GuestRange range;
    GuestAccess access = GuestAccess::kReadOnly;
    // SAFETY: one mapping of range.size_bytes(), owned by this object until it goes.
    std::byte* data = nullptr;
  };

  // The region that holds all of the piece, or null.
  const Region* Find(GuestAddress at, uint64_t size_bytes) const;

  std::vector<Region> regions_;           // by address; few, so searched in order
  std::vector<GuestRange> shared_files_;  // in kReadOnly regions: not to be written
};

}  // namespace hull
