// A stretch of guest-physical addresses that does not wrap: [start, start + size), the end at most
// 2^64 - 1. May be empty.
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/memory/guest_address.h"

namespace hull {

class GuestRange {
 public:
  constexpr GuestRange() = default;

  // nullopt when the end does not fit into 64 bits.
  static constexpr std::optional<GuestRange> Make(GuestAddress start, uint64_t size_bytes) {
    if (!start.Add(size_bytes)) return std::nullopt;
    return GuestRange(start, size_bytes);
  }

  constexpr GuestAddress start() const { return start_; }
  constexpr uint64_t size_bytes() const { return size_bytes_; }
  constexpr bool empty() const { return size_bytes_ == 0; }
  // One past the last address; fits by construction.
  constexpr GuestAddress end() const { return GuestAddress(start_.value() + size_bytes_); }

  constexpr bool Contains(GuestAddress address) const {
    return address >= start_ && address < end();
  }
  // An empty range is contained where its start is, or at the end.
  constexpr bool Contains(const GuestRange& other) const {
    return other.start_ >= start_ && other.end() <= end();
  }
  constexpr bool Overlaps(const GuestRange& other) const {
    return start_ < other.end() && other.start_ < end() && !empty() && !other.empty();
  }

  friend constexpr bool operator==(const GuestRange&, const GuestRange&) = default;

 private:
  constexpr GuestRange(GuestAddress start, uint64_t size_bytes)
      : start_(start), size_bytes_(size_bytes) {}

  GuestAddress start_;
  uint64_t size_bytes_ = 0;
};

}  // namespace hull
