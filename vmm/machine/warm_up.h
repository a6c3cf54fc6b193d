// What is done for a machine's memory before it runs, so that its first moments are not spent on
// faults: each page that the guest touches for the first time is a VM exit, and a Linux kernel
// touches some thousand while it boots. All of it is advice; a guest runs without.
#pragma once

#include <vector>

#include "vmm/base/result.h"
#include "vmm/boot/elf_kernel.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/memory/guest_memory.h"
#include "vmm/memory/guest_range.h"

namespace hull {

struct MemoryHint {
  GuestRange range;
  GuestMemory::Hint hint;

  bool operator==(const MemoryHint&) const = default;
};

// Where small pages are wanted and where huge ones: to be said before anything is written. `ram` by
// address; the kernel's segments lie in its first range.
std::vector<MemoryHint> PlanPages(const std::vector<GuestRange>& ram,
                                  const std::vector<ElfKernel::Segment>& kernel);

// What is to be present and mapped for the guest before it runs. `boot_data` is what the VMM has
// written.
std::vector<MemoryHint> PlanWarmUp(const std::vector<ElfKernel::Segment>& kernel,
                                   const GuestRange& boot_data);
// Carries the latter out. `vcpu` is one that does not run yet.
Status WarmUp(const std::vector<MemoryHint>& hints, const GuestMemory& memory, Vcpu& vcpu);

}  // namespace hull
