// The shape that KVM_SET_CPUID2, KVM_SET_MSRS and KVM_SET_GSI_ROUTING share: a count, a word that
// is zero, then entries. linux/kvm.h declares them with an empty structure in front of the entries,
// which takes room in C++ and none in C, so that a C++ program cannot use those declarations.
#pragma once

#include <linux/kvm.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>

#include "vmm/base/check.h"

namespace hull {

// What precedes the entries.
struct KvmListHeader {
  uint32_t count;
  uint32_t zero;
};
inline constexpr unsigned long kKvmGetSupportedCpuid = _IOWR(KVMIO, 0x05, KvmListHeader);
inline constexpr unsigned long kKvmSetGsiRouting = _IOW(KVMIO, 0x6a, KvmListHeader);
inline constexpr unsigned long kKvmSetMsrs = _IOW(KVMIO, 0x89, KvmListHeader);
inline constexpr unsigned long kKvmSetCpuid2 = _IOW(KVMIO, 0x90, KvmListHeader);

template <typename Entry>
class KvmList {
  static_assert(std::is_trivially_copyable_v<Entry>);

 public:
  // `count` entries of zeroes, at least one.
  explicit KvmList(uint32_t count)
      : capacity_(count), words_(new uint64_t[(kHeaderBytes + count * sizeof(Entry) + 7) / 8]()) {
    std::memcpy(words_.get(), &count, sizeof(count));
  }

  // For ioctl.
  void* get() { return words_.get(); }
  // The count as the kernel left it, at most what there was room for.
  uint32_t count() const {
    uint32_t count = 0;
    std::memcpy(&count, words_.get(), sizeof(count));
    return count < capacity_ ? count : capacity_;
  }
  Entry& operator[](size_t index) {
    HULL_CHECK(index < capacity_);
    // SAFETY: zeroed words that are large and aligned enough for plain data; the index was checked.
    return reinterpret_cast<Entry*>(words_.get() + 1)[index];
  }

 private:
  static constexpr size_t kHeaderBytes = sizeof(KvmListHeader);
  static_assert(kHeaderBytes == 8);
  static_assert(alignof(Entry) <= kHeaderBytes);

  uint32_t capacity_;
  std::unique_ptr<uint64_t[]> words_;
};

}  // namespace hull
