// FakeGuest: guest memory for tests, with a simple allocator. No KVM.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "vmm/memory/guest_memory.h"

namespace hull {

class FakeGuest {
 public:
  // Memory that costs nothing until it is touched, a hole, more memory, and a read-only range.
  static constexpr uint64_t kLowBytes = uint64_t{128} << 20U;
  static constexpr uint64_t kHole = kLowBytes;
  static constexpr uint64_t kHigh = uint64_t{1} << 30U;
  static constexpr uint64_t kHighBytes = uint64_t{1} << 20U;
  static constexpr uint64_t kReadOnly = uint64_t{2} << 30U;
  static constexpr uint64_t kReadOnlyBytes = uint64_t{64} << 10U;

  FakeGuest();

  const GuestMemory& memory() const { return memory_; }

  // A fresh piece of memory, never given back.
  GuestAddress Allocate(uint64_t size_bytes, uint64_t alignment = 64);
  // A fresh piece with this content.
  GuestAddress Place(std::string_view content);

  // Accesses that must succeed: the test fails otherwise.
  void Write(GuestAddress at, std::string_view content) const;
  std::string Read(GuestAddress at, size_t size_bytes) const;

 private:
  GuestMemory memory_;
  uint64_t next_ = uint64_t{1} << 20U;
};

// The bytes of an object, for building requests.
template <typename T>
std::string BytesOf(const T& object) {
  const auto bytes = std::as_bytes(std::span(&object, 1));
  std::string text(bytes.size(), '\0');
  for (size_t i = 0; i < bytes.size(); ++i) text[i] = static_cast<char>(bytes[i]);
  return text;
}

}  // namespace hull
