#include "vmm/arch/x86_64/entry.h"

#include <gtest/gtest.h>

#include "vmm/arch/x86_64/layout.h"

namespace hull::x86_64 {
namespace {

// Walks the tables as a processor would; nullopt where nothing is mapped.
std::optional<uint64_t> Translate(const GuestMemory& memory, uint64_t cr3, uint64_t address) {
  constexpr uint64_t kAddressMask = 0x000f'ffff'ffff'f000;
  uint64_t table = cr3 & kAddressMask;
  for (const unsigned shift : {39U, 30U, 21U, 12U}) {
    const uint64_t index = (address >> shift) & 511U;
    const auto entry = memory.ReadObject<uint64_t>(GuestAddress(table + index * 8));
    if (!entry || (*entry & 1U) == 0) return std::nullopt;
    if ((*entry & 0x80U) != 0) {
      const uint64_t offset_mask = (1ULL << shift) - 1;
      return (*entry & kAddressMask & ~offset_mask) | (address & offset_mask);
    }
    table = *entry & kAddressMask;
  }
  return table | (address & 0xfffU);
}

TEST(EntryTest, FirstGibibyteIsMappedToItself) {
  GuestMemory memory;
  ASSERT_TRUE(
      memory.AddRegion(*GuestRange::Make(GuestAddress(0), 1U << 20U), GuestAccess::kReadWrite));
  ASSERT_TRUE(WritePageTables(memory));
  const EntryState state = MakeEntryState(GuestAddress(0x100'0000), GuestAddress(0x4000));
  for (const uint64_t address : {uint64_t{0}, uint64_t{0x1234}, uint64_t{0x100'0010}, kGiB - 1}) {
    EXPECT_EQ(Translate(memory, state.cr3, address), address);
  }
  EXPECT_EQ(Translate(memory, state.cr3, kGiB), std::nullopt);
  EXPECT_EQ(Translate(memory, state.cr3, 1ULL << 39U), std::nullopt);
}

TEST(EntryTest, PageTablesNeedMemory) {
  GuestMemory memory;
  EXPECT_FALSE(WritePageTables(memory).has_value());
}

TEST(EntryTest, StateIsThatOfTheBootProtocol) {
  const EntryState state = MakeEntryState(GuestAddress(0x100'0000), GuestAddress(0x4000));
  EXPECT_EQ(state.rip, 0x100'0000U);
  EXPECT_EQ(state.rsi, 0x4000U);
  EXPECT_EQ(state.code.selector, 0x10);
  EXPECT_TRUE(state.code.long_mode);
  EXPECT_FALSE(state.code.default_size_32);  // with long mode it must be clear
  EXPECT_EQ(state.data.selector, 0x18);
  EXPECT_FALSE(state.task.code_or_data);
}

}  // namespace
}  // namespace hull::x86_64
