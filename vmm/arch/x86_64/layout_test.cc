#include "vmm/arch/x86_64/layout.h"

#include <gtest/gtest.h>

#include <set>

namespace hull::x86_64 {
namespace {

GuestRange Range(uint64_t start, uint64_t end) {
  return *GuestRange::Make(GuestAddress(start), end - start);
}

TEST(LayoutTest, MemoryLeavesTheHoleFree) {
  using Ranges = std::vector<GuestRange>;
  EXPECT_EQ(MemoryRanges(128U << 20U), (Ranges{Range(0, 128U << 20U)}));
  EXPECT_EQ(MemoryRanges(3 * kGiB), (Ranges{Range(0, 3 * kGiB)}));
  EXPECT_EQ(MemoryRanges(3 * kGiB + 4096),
            (Ranges{Range(0, 3 * kGiB), Range(4 * kGiB, 4 * kGiB + 4096)}));
  EXPECT_EQ(MemoryRanges(6 * kGiB), (Ranges{Range(0, 3 * kGiB), Range(4 * kGiB, 7 * kGiB)}));
}

TEST(LayoutTest, OldPcAddressesAreNotUsable) {
  using Ranges = std::vector<GuestRange>;
  EXPECT_EQ(UsableRanges(MemoryRanges(6 * kGiB)),
            (Ranges{Range(0, 0xa'0000), Range(0x10'0000, 3 * kGiB), Range(4 * kGiB, 7 * kGiB)}));
}

TEST(LayoutTest, InterruptLinesAreDistinctInputsFrom5To23) {
  std::set<uint32_t> lines;
  for (uint32_t n = 0; n < kDeviceLines; ++n) lines.insert(DeviceLine(n));
  EXPECT_EQ(lines.size(), kDeviceLines);
  EXPECT_EQ(*lines.begin(), 5U);
  EXPECT_EQ(*lines.rbegin(), 23U);
  EXPECT_EQ(DeviceLine(0), 16U);
}

TEST(LayoutTest, DmaPoolLiesBehindTheKernelInMemoryBelowFourGibibytes) {
  constexpr uint64_t kMib = 1ULL << 20U;
  const GuestAddress kernel_end(40 * kMib + 1);
  EXPECT_EQ(PlaceDmaPool(MemoryRanges(6 * kGiB)[0], kernel_end, 256 * kMib).value(),
            Range(42 * kMib, 298 * kMib));
  EXPECT_EQ(PlaceDmaPool(Range(0, 58 * kMib), kernel_end, 16 * kMib).value(),
            Range(42 * kMib, 58 * kMib));
  EXPECT_EQ(PlaceDmaPool(Range(0, 58 * kMib), GuestAddress(42 * kMib), 16 * kMib)->start().value(),
            42 * kMib);
  const auto small = PlaceDmaPool(Range(0, 57 * kMib), kernel_end, 16 * kMib);
  ASSERT_FALSE(small.has_value());
  EXPECT_EQ(small.error().code(), ErrorCode::kExhausted);
  EXPECT_NE(small.error().ToString().find("do not fit behind the kernel"), std::string::npos);
  EXPECT_FALSE(PlaceDmaPool(Range(0, 57 * kMib), kernel_end, UINT64_MAX).has_value());
}

TEST(LayoutTest, DeviceMemoryLiesAboveMemoryInWholeSections) {
  DeviceMemoryAllocator small(GuestAddress(128U << 20U));
  EXPECT_EQ(small.Allocate(1).value(), Range(4 * kGiB, 4 * kGiB + kDeviceMemoryAlignment));
  EXPECT_EQ(small.Allocate(kDeviceMemoryAlignment + 1)->start().value(),
            4 * kGiB + kDeviceMemoryAlignment);
  EXPECT_EQ(small.Allocate(1)->start().value(), 4 * kGiB + 3 * kDeviceMemoryAlignment);
  DeviceMemoryAllocator large(GuestAddress(7 * kGiB + 4096));
  EXPECT_EQ(large.Allocate(1)->start().value(), 8 * kGiB);
}

TEST(LayoutTest, DeviceMemoryRunsOutInOrder) {
  DeviceMemoryAllocator allocator(GuestAddress(0));
  EXPECT_FALSE(allocator.Allocate(UINT64_MAX).has_value());
  EXPECT_FALSE(allocator.Allocate(1ULL << 46U).has_value());
  EXPECT_TRUE(allocator.Allocate(1ULL << 45U).has_value());
  EXPECT_FALSE(allocator.Allocate(1ULL << 45U).has_value());
}

TEST(LayoutTest, RestReachesAsFarAsTheProcessor) {
  DeviceMemoryAllocator allocator(GuestAddress(128U << 20U));
  ASSERT_TRUE(allocator.Allocate(1).has_value());
  const uint64_t next = 4 * kGiB + kDeviceMemoryAlignment;
  EXPECT_EQ(allocator.Rest(40), Range(next, 1ULL << 40U));
  EXPECT_EQ(allocator.Rest(52), Range(next, 1ULL << 46U));
  EXPECT_TRUE(allocator.Rest(32).empty());
}

}  // namespace
}  // namespace hull::x86_64
