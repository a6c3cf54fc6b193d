#include "vmm/arch/x86_64/entry.h"

#include <array>

#include "vmm/arch/x86_64/layout.h"

namespace hull::x86_64 {
namespace {

constexpr size_t kTableEntries = 512;
constexpr uint64_t kLargePageBytes = 2ULL << 20U;

// Page table entries: SDM 3, 4.5.4.
constexpr uint64_t kPresent = 1U << 0U;
constexpr uint64_t kWritable = 1U << 1U;
constexpr uint64_t kLargePage = 1U << 7U;

// Control registers and EFER: SDM 3, 2.5 and 2.2.1.
constexpr uint64_t kCr0ProtectedMode = 1U << 0U;
constexpr uint64_t kCr0ExtensionType = 1U << 4U;
constexpr uint64_t kCr0Paging = 1U << 31U;
constexpr uint64_t kCr4PhysicalAddressExtension = 1U << 5U;
constexpr uint64_t kEferLongModeEnable = 1U << 8U;
constexpr uint64_t kEferLongModeActive = 1U << 10U;

// Segments: the selectors that the boot protocol names, with types from SDM 3, 3.4.5.1 and 3.5.
constexpr uint16_t kCodeSelector = 0x10;
constexpr uint16_t kDataSelector = 0x18;
constexpr uint16_t kTaskSelector = 0x20;
constexpr uint8_t kCodeExecuteReadAccessed = 11;
constexpr uint8_t kDataReadWriteAccessed = 3;
constexpr uint8_t kBusyTask64 = 11;
constexpr uint32_t kFlatLimit = 0xffff'ffff;

constexpr uint32_t kMsrMiscEnable = 0x1a0;
constexpr uint64_t kMiscEnableFastStrings = 1U << 0U;
constexpr uint32_t kMsrMtrrDefaultType = 0x2ff;
constexpr uint64_t kMtrrEnable = 1U << 11U;
constexpr uint64_t kMtrrWriteBack = 6;

using Table = std::array<uint64_t, kTableEntries>;

}  // namespace

Status WritePageTables(GuestMemory& memory) {
  const uint64_t base = kPageTables.value();
  std::array<Table, 3> tables = {};  // PML4, page directory pointers, page directory
  tables[0][0] = (base + kPageBytes) | kPresent | kWritable;
  tables[1][0] = (base + 2 * kPageBytes) | kPresent | kWritable;
  for (size_t i = 0; i < kTableEntries; ++i) {
    tables[2][i] = (i * kLargePageBytes) | kPresent | kWritable | kLargePage;
  }
  if (!memory.WriteObject(kPageTables, tables)) {
    return Fail(ErrorCode::kExhausted, "there is no memory at {:#x} for page tables", base);
  }
  return {};
}

EntryState MakeEntryState(GuestAddress kernel_entry, GuestAddress boot_params) {
  EntryState state;
  state.rip = kernel_entry.value();
  state.rsi = boot_params.value();
  state.cr0 = kCr0ProtectedMode | kCr0ExtensionType | kCr0Paging;
  state.cr3 = kPageTables.value();
  state.cr4 = kCr4PhysicalAddressExtension;
  state.efer = kEferLongModeEnable | kEferLongModeActive;
  // Linux loads descriptor tables of its own before it loads a segment register, so none are made
  // here.
  state.code = {.limit = kFlatLimit,
                .selector = kCodeSelector,
                .type = kCodeExecuteReadAccessed,
                .code_or_data = true,
                .long_mode = true,
                .granularity_4k = true};
  state.data = {.limit = kFlatLimit,
                .selector = kDataSelector,
                .type = kDataReadWriteAccessed,
                .code_or_data = true,
                .default_size_32 = true,
                .granularity_4k = true};
  // VT-x refuses to enter 64-bit code without a busy 64-bit task (SDM 3, 27.3.1.2).
  state.task = {.limit = 0x67, .selector = kTaskSelector, .type = kBusyTask64};
  return state;
}

std::vector<Msr> MakeMsrs() {
  return {// Linux uses fast string instructions only where this says so.
          {.index = kMsrMiscEnable, .value = kMiscEnableFastStrings},
          // What firmware would have said: memory is write-back. Linux switches PAT off otherwise.
          {.index = kMsrMtrrDefaultType, .value = kMtrrEnable | kMtrrWriteBack}};
}

}  // namespace hull::x86_64
