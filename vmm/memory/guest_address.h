// A guest-physical address. It comes from the guest more often than not, so there is no operator+:
// whoever adds to it says what happens when the sum does not fit.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>

#include "vmm/base/checked.h"

namespace hull {

class GuestAddress {
 public:
  constexpr GuestAddress() = default;
  explicit constexpr GuestAddress(uint64_t value) : value_(value) {}

  constexpr uint64_t value() const { return value_; }
  // The address `offset_bytes` further on; nullopt when that wraps.
  constexpr std::optional<GuestAddress> Add(uint64_t offset_bytes) const {
    const std::optional<uint64_t> sum = CheckedAdd(value_, offset_bytes);
    if (!sum) return std::nullopt;
    return GuestAddress(*sum);
  }
  // `alignment` is a power of two.
  constexpr bool IsAligned(uint64_t alignment) const { return (value_ & (alignment - 1)) == 0; }

  friend constexpr auto operator<=>(GuestAddress, GuestAddress) = default;

 private:
  uint64_t value_ = 0;
};

}  // namespace hull
