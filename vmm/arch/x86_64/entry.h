// The state in which hull's x86 machine enters Linux: 64-bit mode, the first GiB mapped to itself,
// interrupts off (Linux: Documentation/arch/x86/boot.rst, "64-bit boot protocol").
#pragma once

#include <vector>

#include "vmm/base/result.h"
#include "vmm/kvm/cpu_state.h"
#include "vmm/memory/guest_memory.h"

namespace hull::x86_64 {

// Writes three pages of page tables at kPageTables.
Status WritePageTables(GuestMemory& memory);

// For the boot processor: at `kernel_entry`, with `boot_params` in RSI.
EntryState MakeEntryState(GuestAddress kernel_entry, GuestAddress boot_params);

// For every processor.
std::vector<Msr> MakeMsrs();

}  // namespace hull::x86_64
