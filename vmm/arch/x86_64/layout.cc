#include "vmm/arch/x86_64/layout.h"

#include <algorithm>

#include "vmm/base/check.h"
#include "vmm/base/checked.h"

namespace hull::x86_64 {
namespace {

// Lines 16 to 23 were never anything but free; 15 down to 5 had an old device each.
constexpr uint32_t kFirstModernLine = 16;
constexpr uint32_t kModernLines = 8;

// Addresses that every processor with long mode has (36 bits and more) are enough for small
// machines; beyond 46 bits Linux has no direct map with four-level page tables.
constexpr uint64_t kAddressEnd = 1ULL << 46U;

constexpr uint64_t kDmaPoolAlignment = 2ULL << 20U;

GuestRange RangeBetween(GuestAddress start, GuestAddress end) {
  const auto range = GuestRange::Make(start, end.value() - start.value());
  HULL_CHECK(range.has_value());
  return *range;
}

}  // namespace

uint32_t DeviceLine(uint32_t n) {
  HULL_CHECK(n < kDeviceLines);
  if (n < kModernLines) return kFirstModernLine + n;
  return kFirstModernLine - 1 - (n - kModernLines);
}

std::vector<GuestRange> MemoryRanges(uint64_t memory_bytes) {
  const uint64_t low_bytes = std::min(memory_bytes, kHoleStart.value());
  std::vector<GuestRange> ranges = {RangeBetween(GuestAddress(0), GuestAddress(low_bytes))};
  if (memory_bytes > low_bytes) {
    const uint64_t high_bytes = memory_bytes - low_bytes;
    ranges.push_back(RangeBetween(kHoleEnd, GuestAddress(kHoleEnd.value() + high_bytes)));
  }
  return ranges;
}

std::vector<GuestRange> UsableRanges(const std::vector<GuestRange>& memory) {
  std::vector<GuestRange> usable;
  for (const GuestRange& range : memory) {
    if (range.Contains(kLegacyStart) && range.end() > kLegacyEnd) {
      usable.push_back(RangeBetween(range.start(), kLegacyStart));
      usable.push_back(RangeBetween(kLegacyEnd, range.end()));
    } else {
      usable.push_back(range);
    }
  }
  return usable;
}

Result<GuestRange> PlaceDmaPool(const GuestRange& low_memory, GuestAddress kernel_end,
                                uint64_t pool_bytes) {
  const auto start = CheckedAlignUp<uint64_t>(kernel_end.value(), kDmaPoolAlignment);
  const auto end = start ? CheckedAdd<uint64_t>(*start, pool_bytes) : std::nullopt;
  if (!end || *end > low_memory.end().value()) {
    return Fail(ErrorCode::kExhausted,
                "{} bytes for devices do not fit behind the kernel, which ends at {:#x}, in {} "
                "bytes of memory",
                pool_bytes, kernel_end.value(), low_memory.size_bytes());
  }
  return RangeBetween(GuestAddress(*start), GuestAddress(*end));
}

DeviceMemoryAllocator::DeviceMemoryAllocator(GuestAddress memory_end)
    : next_((std::max(memory_end, kHoleEnd).value() + kGiB - 1) / kGiB * kGiB) {}

Result<GuestRange> DeviceMemoryAllocator::Allocate(uint64_t size_bytes) {
  const auto rounded = CheckedAlignUp<uint64_t>(size_bytes, kDeviceMemoryAlignment);
  const auto end = rounded ? CheckedAdd<uint64_t>(next_, *rounded) : std::nullopt;
  if (!end || *end > kAddressEnd) {
    return Fail(ErrorCode::kExhausted, "no addresses are left for {} bytes of device memory",
                size_bytes);
  }
  const GuestRange range = RangeBetween(GuestAddress(next_), GuestAddress(*end));
  next_ = *end;
  return range;
}

GuestRange DeviceMemoryAllocator::Rest(uint32_t address_bits) const {
  const uint64_t end = address_bits >= 46 ? kAddressEnd : 1ULL << address_bits;
  return next_ < end ? RangeBetween(GuestAddress(next_), GuestAddress(end)) : GuestRange();
}

}  // namespace hull::x86_64
