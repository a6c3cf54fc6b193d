#include "vmm/pci/bar.h"

#include <gtest/gtest.h>
#include <linux/pci_regs.h>

#include <random>

namespace hull::pci {
namespace {

constexpr uint64_t kMiB = 1U << 20U;
constexpr uint64_t kGiB = 1U << 30U;

GuestRange Range(uint64_t start, uint64_t end) {
  return *GuestRange::Make(GuestAddress(start), end - start);
}

Windows MakeWindows() {
  return {.ports = Range(0x1000, 0x1'0000),
          .low = {Range(0xd040'0000, 0xfec0'0000)},
          .high = Range(5 * kGiB, 1024 * kGiB)};
}

TEST(BarTest, RegisterSaysTheKindAndTheHostTheSize) {
  EXPECT_EQ(DescribeBar(0, 0xfebf'0000, 4096),
            (Bar{.index = 0, .kind = BarKind::kMemory32, .size_bytes = 4096}));
  EXPECT_EQ(
      DescribeBar(2, 0xc, kGiB),
      (Bar{.index = 2, .kind = BarKind::kMemory64, .prefetchable = true, .size_bytes = kGiB}));
  EXPECT_EQ(DescribeBar(1, 0xc001, 32),
            (Bar{.index = 1, .kind = BarKind::kPorts, .size_bytes = 32}));
}

TEST(BarTest, RegistersWithoutARegionAndNonsenseAreNone) {
  EXPECT_EQ(DescribeBar(0, 0, 0), std::nullopt);
  EXPECT_EQ(DescribeBar(0, 0, 4095), std::nullopt);
  EXPECT_EQ(DescribeBar(5, 0x4, 4096), std::nullopt);
  EXPECT_EQ(DescribeBar(6, 0, 4096), std::nullopt);
}

// For any set of regions: placed inside of its window, aligned to its size, apart from all others
// of its space, memory on pages of its own.
TEST(BarTest, AnySetOfRegionsIsPlacedApartAlignedAndInside) {
  std::mt19937 random(4);
  for (int round = 0; round < 500; ++round) {
    std::vector<Bar> bars(1 + random() % 12);
    for (Bar& bar : bars) {
      bar.kind = static_cast<BarKind>(random() % 3);
      const uint32_t most = bar.kind == BarKind::kPorts      ? 10
                            : bar.kind == BarKind::kMemory32 ? 25
                                                             : 37;
      bar.size_bytes = uint64_t{1} << (2 + random() % most);
    }
    std::vector<Bar*> pointers;
    for (Bar& bar : bars) pointers.push_back(&bar);
    const Windows windows = MakeWindows();
    if (!PlaceBars(pointers, windows)) continue;
    for (const Bar& bar : bars) {
      EXPECT_EQ(bar.address % bar.size_bytes, 0U);
      const GuestRange range = Range(bar.address, bar.address + bar.size_bytes);
      EXPECT_TRUE((bar.kind == BarKind::kPorts      ? windows.ports
                   : bar.kind == BarKind::kMemory64 ? windows.high
                                                    : windows.low[0])
                      .Contains(range));
      for (const Bar& other : bars) {
        if (&other == &bar || (other.kind == BarKind::kPorts) != (bar.kind == BarKind::kPorts)) {
          continue;
        }
        EXPECT_FALSE(range.Overlaps(Range(other.address, other.address + other.size_bytes)));
        if (bar.kind != BarKind::kPorts) {
          EXPECT_NE(bar.address / 4096, other.address / 4096);
        }
      }
    }
  }
}

TEST(BarTest, SumOfWhatFitsFits) {
  std::vector<Bar> bars = {{.index = 0, .kind = BarKind::kMemory64, .size_bytes = 4 * kGiB},
                           {.index = 2, .kind = BarKind::kMemory64, .size_bytes = 64 * kGiB},
                           {.index = 4, .kind = BarKind::kMemory64, .size_bytes = kMiB},
                           {.index = 0, .kind = BarKind::kMemory32, .size_bytes = 256 * kMiB},
                           {.index = 1, .kind = BarKind::kMemory32, .size_bytes = 128 * kMiB}};
  std::vector<Bar*> pointers;
  for (Bar& bar : bars) pointers.push_back(&bar);
  ASSERT_TRUE(PlaceBars(pointers, MakeWindows()));
  EXPECT_EQ(bars[1].address, 64 * kGiB);
  EXPECT_EQ(bars[3].address, 0xe000'0000U);
}

TEST(BarTest, WhatDoesNotFitIsNamed) {
  Bar large = {.index = 2, .kind = BarKind::kMemory32, .size_bytes = kGiB};
  const Status status = PlaceBars({&large}, MakeWindows());
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().ToString(), "region 2: no room for its 1024 MiB below 4 GiB");
  Bar ports = {.index = 0, .kind = BarKind::kPorts, .size_bytes = 1U << 16U};
  EXPECT_FALSE(PlaceBars({&ports}, MakeWindows()));
  Bar huge = {.index = 0, .kind = BarKind::kMemory64, .size_bytes = 1ULL << 45U};
  EXPECT_FALSE(PlaceBars({&huge}, MakeWindows()));
}

TEST(BarTest, RegistersShowAddressSizeAndTypeWhateverIsWritten) {
  ConfigSpace space;
  const Bar bar = {.index = 2,
                   .kind = BarKind::kMemory64,
                   .prefetchable = true,
                   .size_bytes = 8 * kGiB,
                   .address = 64 * kGiB};
  BarRegisters::Show(bar, space);
  const auto write = [&](uint32_t offset, size_t size_bytes, uint32_t value) {
    space.Write(offset, size_bytes, value);
    BarRegisters::AfterWrite(bar, space, offset, size_bytes);
  };
  EXPECT_EQ(space.Read(0x18, 4), 0xcU);
  EXPECT_EQ(space.Read(0x1c, 4), 0x10U);
  write(0x18, 4, 0xffff'ffff);
  write(0x1c, 4, 0xffff'ffff);
  EXPECT_EQ(space.Read(0x18, 4), 0xcU);
  EXPECT_EQ(space.Read(0x1c, 4), 0xffff'fffeU);
  write(0x1c, 4, 0x7);
  write(0x18, 1, 0xff);
  EXPECT_EQ(space.Read(0x18, 4), 0xcU);
  EXPECT_EQ(space.Read(0x1c, 4), 0x10U);
}

}  // namespace
}  // namespace hull::pci
