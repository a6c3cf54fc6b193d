#include "vmm/arch/x86_64/cpuid.h"

#include <gtest/gtest.h>

#include <optional>

namespace hull::x86_64 {
namespace {

constexpr uint32_t kAll = 0xffff'ffff;

// A processor that has every leaf and says yes to everything.
std::vector<CpuidEntry> Everything(uint32_t most = 0x20) {
  std::vector<CpuidEntry> entries;
  entries.push_back({.leaf = 0, .eax = most, .ebx = kAll, .ecx = kAll, .edx = kAll});
  for (uint32_t leaf = 1; leaf <= most; ++leaf) {
    entries.push_back({.leaf = leaf, .eax = kAll, .ebx = kAll, .ecx = kAll, .edx = kAll});
  }
  for (uint32_t leaf = 0x8000'0000; leaf <= 0x8000'0022; ++leaf) {
    entries.push_back({.leaf = leaf, .eax = kAll, .ebx = kAll, .ecx = kAll, .edx = kAll});
  }
  return entries;
}

std::optional<CpuidEntry> Find(const std::vector<CpuidEntry>& entries, uint32_t leaf,
                               uint32_t subleaf = 0) {
  for (const CpuidEntry& entry : entries) {
    if (entry.leaf == leaf && entry.subleaf == subleaf) return entry;
  }
  return std::nullopt;
}

bool HasBit(uint32_t value, uint32_t bit) {
  return ((value >> bit) & 1U) != 0;
}

TEST(CpuidTest, VirtualisationAndCountersAreHidden) {
  const auto entries = FilterCpuid(Everything(), 0, 1);
  EXPECT_FALSE(HasBit(Find(entries, 1)->ecx, 5));             // VMX
  EXPECT_FALSE(HasBit(Find(entries, 1)->ecx, 15));            // PDCM
  EXPECT_FALSE(HasBit(Find(entries, 0x8000'0001)->ecx, 2));   // SVM
  EXPECT_FALSE(HasBit(Find(entries, 0x8000'0001)->ecx, 23));  // performance counters
  EXPECT_FALSE(HasBit(Find(entries, 7)->ebx, 2));             // SGX
  for (const uint32_t leaf : {0xaU, 0x8000'000aU, 0x8000'001bU, 0x8000'001fU, 0x8000'0022U}) {
    EXPECT_EQ(Find(entries, leaf)->eax | Find(entries, leaf)->ebx | Find(entries, leaf)->ecx |
                  Find(entries, leaf)->edx,
              0U)
        << std::hex << leaf;
  }
}

TEST(CpuidTest, TimerAndHypervisorAreShownEvenWhenNotOffered) {
  auto supported = Everything();
  for (CpuidEntry& entry : supported) {
    if (entry.leaf == 1) entry.ecx = 0;
    if (entry.leaf == 6) entry.eax = 0;
  }
  const auto entries = FilterCpuid(supported, 0, 1);
  EXPECT_TRUE(HasBit(Find(entries, 1)->ecx, 24));
  EXPECT_TRUE(HasBit(Find(entries, 1)->ecx, 31));
  EXPECT_TRUE(HasBit(Find(entries, 6)->eax, 2));
}

TEST(CpuidTest, WhatIsNotNamedStaysAsTheHostHasIt) {
  const auto entries = FilterCpuid(Everything(), 0, 1);
  EXPECT_EQ(Find(entries, 0xd)->eax, kAll);
  EXPECT_EQ(Find(entries, 0x8000'0007)->edx, kAll);  // invariant TSC
  EXPECT_EQ(Find(entries, 0)->ebx, kAll);
}

TEST(CpuidTest, ApicIdIsTheSameInEveryLeaf) {
  const auto entries = FilterCpuid(Everything(), 5, 6);
  EXPECT_EQ(Find(entries, 1)->ebx >> 24U, 5U);
  for (const uint32_t subleaf : {0U, 1U, 2U}) EXPECT_EQ(Find(entries, 0xb, subleaf)->edx, 5U);
  EXPECT_EQ(Find(entries, 0x8000'001e)->eax, 5U);
  EXPECT_EQ(Find(entries, 0x1f), std::nullopt);
}

TEST(CpuidTest, SixCoresNeedThreeBitsOfTheApicId) {
  const auto entries = FilterCpuid(Everything(), 0, 6);
  EXPECT_EQ((Find(entries, 1)->ebx >> 16U) & 0xffU, 8U);
  EXPECT_TRUE(HasBit(Find(entries, 1)->edx, 28));
  EXPECT_EQ(Find(entries, 0xb, 0)->eax, 0U);
  EXPECT_EQ(Find(entries, 0xb, 0)->ecx, 0x100U);
  EXPECT_EQ(Find(entries, 0xb, 1)->eax, 3U);
  EXPECT_EQ(Find(entries, 0xb, 1)->ebx, 6U);
  EXPECT_EQ(Find(entries, 0xb, 1)->ecx, 0x201U);
  EXPECT_EQ(Find(entries, 0xb, 2)->ecx, 2U);
  EXPECT_EQ(Find(entries, 0x8000'0008)->ecx & 0xffU, 5U);
  EXPECT_EQ((Find(entries, 0x8000'0008)->ecx >> 12U) & 0xfU, 3U);
}

TEST(CpuidTest, OneCoreIsAlone) {
  const auto entries = FilterCpuid(Everything(), 0, 1);
  EXPECT_FALSE(HasBit(Find(entries, 1)->edx, 28));
  EXPECT_EQ((Find(entries, 1)->ebx >> 16U) & 0xffU, 1U);
  EXPECT_EQ(Find(entries, 0xb, 1)->eax, 0U);
  EXPECT_EQ(Find(entries, 0xb, 1)->ebx, 1U);
}

TEST(CpuidTest, OnlyTheLastLevelCacheIsShared) {
  for (const uint32_t leaf : {4U, 0x8000'001dU}) {
    const auto cache = [leaf](uint32_t subleaf, uint32_t level) {
      return CpuidEntry{.leaf = leaf,
                        .subleaf = subleaf,
                        .has_subleaf = true,
                        .eax = 1U | (level << 5U) | (0x3fU << 14U) | (0x3fU << 26U)};
    };
    const std::vector<CpuidEntry> supported = {
        cache(0, 1), cache(1, 2), cache(2, 3), {.leaf = leaf, .subleaf = 3, .has_subleaf = true}};
    const auto entries = FilterCpuid(supported, 0, 4);
    EXPECT_EQ((Find(entries, leaf, 0)->eax >> 14U) & 0xfffU, 0U);
    EXPECT_EQ((Find(entries, leaf, 1)->eax >> 14U) & 0xfffU, 0U);
    EXPECT_EQ((Find(entries, leaf, 2)->eax >> 14U) & 0xfffU, 3U);
    EXPECT_EQ(Find(entries, leaf, 3)->eax, 0U);
    EXPECT_EQ(Find(entries, leaf, 2)->eax >> 26U, leaf == 4 ? 3U : 0x3fU);
  }
}

TEST(CpuidTest, ProcessorWithoutTopologyLeafGetsNone) {
  EXPECT_EQ(Find(FilterCpuid(Everything(0xa), 0, 2), 0xb), std::nullopt);
}

TEST(CpuidTest, AddressBitsAreTheHosts) {
  const std::vector<CpuidEntry> entries = {{.leaf = 1, .eax = 99},
                                           {.leaf = 0x8000'0008, .eax = 0x3028}};
  EXPECT_EQ(PhysicalAddressBits(entries), 40U);
  EXPECT_EQ(PhysicalAddressBits({}), 36U);
}

}  // namespace
}  // namespace hull::x86_64
