#include "vmm/machine/warm_up.h"

#include <gtest/gtest.h>

namespace hull {
namespace {

constexpr uint64_t kMiB = 1U << 20U;
using Hint = GuestMemory::Hint;

GuestRange Range(uint64_t start, uint64_t end) {
  return *GuestRange::Make(GuestAddress(start), end - start);
}

// Text, and data with .bss behind it.
std::vector<ElfKernel::Segment> Kernel() {
  return {{.address = GuestAddress(16 * kMiB),
           .file_offset = 0,
           .file_bytes = 4 * kMiB,
           .memory_bytes = 4 * kMiB,
           .writable = false},
          {.address = GuestAddress(20 * kMiB),
           .file_offset = 0,
           .file_bytes = kMiB + 100,
           .memory_bytes = 5 * kMiB,
           .writable = true}};
}

TEST(WarmUpTest, SmallMachineTakesSmallPagesButWhereLinuxFillsThem) {
  EXPECT_EQ(PlanPages({Range(0, 128 * kMiB)}, Kernel()),
            (std::vector<MemoryHint>{
                {.range = Range(0, 128 * kMiB), .hint = Hint::kSmallPages},
                {.range = Range(20 * kMiB, 24 * kMiB), .hint = Hint::kHugePages},
                {.range = Range(0, 2 * kMiB), .hint = Hint::kHugePages},
                {.range = Range(8 * kMiB, 12 * kMiB), .hint = Hint::kHugePages},
                {.range = Range(124 * kMiB, 126 * kMiB), .hint = Hint::kHugePages}}));
}

TEST(WarmUpTest, HugePagesNeverReachIntoWhatIsMapped) {
  auto kernel = Kernel();
  kernel[0].file_bytes = kernel[0].memory_bytes = 5 * kMiB;
  kernel[1].address = GuestAddress(21 * kMiB);
  const auto hints = PlanPages({Range(0, 1024 * kMiB)}, kernel);
  EXPECT_EQ(hints[1], (MemoryHint{.range = Range(22 * kMiB, 26 * kMiB), .hint = Hint::kHugePages}));
}

TEST(WarmUpTest, LargeMachineKeepsTheHostsPolicyAbove) {
  const auto hints = PlanPages({Range(0, 3072 * kMiB), Range(4096 * kMiB, 7168 * kMiB)}, Kernel());
  EXPECT_EQ(hints.front(), (MemoryHint{.range = Range(0, 128 * kMiB), .hint = Hint::kSmallPages}));
  // 1/64 of 6 GiB.
  EXPECT_EQ(hints.back(),
            (MemoryHint{.range = Range(2974 * kMiB, 3070 * kMiB), .hint = Hint::kHugePages}));
}

TEST(WarmUpTest, KernelIsSharedWhereItIsOnlyRead) {
  EXPECT_EQ(
      PlanWarmUp(Kernel(), Range(0xa'0000, 0xa'5432)),
      (std::vector<MemoryHint>{{.range = Range(0xa'0000, 0xa'6000), .hint = Hint::kWriteSoon},
                               {.range = Range(16 * kMiB, 20 * kMiB), .hint = Hint::kReadSoon}}));
}

}  // namespace
}  // namespace hull
