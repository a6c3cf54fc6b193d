// GuestSlice: a checked piece of guest memory without its address. The guest may change the bytes
// at any moment: copy once, check the copy, use the copy.
//
// A slice is made by GuestMemory, which has checked that all of it lies in one region and, for a
// writable one, that the region may be written. It is a plain value, valid as long as the
// GuestMemory lives, usable from any thread. Offsets are the caller's own and must be inside
// (HULL_CHECK): numbers from a guest are checked before, by GuestMemory or by the chain.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

namespace hull {

class GuestMemory;
class IoVectors;

class GuestSlice {
 public:
  GuestSlice() = default;

  uint64_t size_bytes() const { return size_bytes_; }
  bool empty() const { return size_bytes_ == 0; }
  bool writable() const { return writable_; }

  // The part [offset, offset + size).
  GuestSlice Sub(uint64_t offset, uint64_t size_bytes) const;

  // Copies out of, or into, guest memory, from `offset` on. Never inlined into the caller, so that
  // the compiler cannot read guest memory a second time after the copy was checked.
  void Read(uint64_t offset, std::span<std::byte> out) const;
  void Write(uint64_t offset, std::span<const std::byte> data) const;
  void Fill(uint64_t offset, uint64_t size_bytes, std::byte value) const;

  template <typename T>
    requires std::is_trivially_copyable_v<T>
  T ReadObject(uint64_t offset) const {
    T object = {};
    Read(offset, std::as_writable_bytes(std::span(&object, 1)));
    return object;
  }
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  void WriteObject(uint64_t offset, const T& object) const {
    Write(offset, std::as_bytes(std::span(&object, 1)));
  }

  // Atomic accesses for rings; `offset` (and the slice itself) is aligned to the width.
  uint16_t LoadAcquire16(uint64_t offset) const;
  uint32_t LoadAcquire32(uint64_t offset) const;
  uint16_t LoadRelaxed16(uint64_t offset) const;
  void StoreRelease16(uint64_t offset, uint16_t value) const;
  void StoreRelease32(uint64_t offset, uint32_t value) const;
  void StoreRelaxed16(uint64_t offset, uint16_t value) const;

 private:
  friend class GuestMemory;
  friend class IoVectors;
  GuestSlice(std::byte* data, uint64_t size_bytes, bool writable)
      : data_(data), size_bytes_(size_bytes), writable_(writable) {}

  // SAFETY: inside a mapping that GuestMemory owns; never handed out.
  std::byte* data_ = nullptr;
  uint64_t size_bytes_ = 0;
  bool writable_ = false;
};

// A list of slices in the form that readv, writev, sendmsg and io_uring take. It may be used again
// after Clear() without allocating. What it points to is for the kernel alone: no code of hull's
// follows the pointers.
class IoVectors {
 public:
  // What one system call takes (IOV_MAX).
  static constexpr size_t kMaximumCount = 1024;

  // Appends; false (and nothing appended) when the list is full. Empty slices are left out.
  [[nodiscard]] bool Append(const GuestSlice& slice);
  // Appends memory of hull's own, for a header in front of guest data. It must outlive the call.
  [[nodiscard]] bool AppendHost(std::span<std::byte> data);
  // Takes `size_bytes` (at most total_bytes()) off the front: what a short read or write has done.
  void DropFront(uint64_t size_bytes);
  void Clear();

  const iovec* data() const { return vectors_.data() + first_; }
  size_t count() const { return vectors_.size() - first_; }
  bool empty() const { return count() == 0; }
  bool full() const { return count() >= kMaximumCount; }
  uint64_t total_bytes() const { return total_bytes_; }

 private:
  std::vector<iovec> vectors_;
  size_t first_ = 0;
  uint64_t total_bytes_ = 0;
};

}  // namespace hull
