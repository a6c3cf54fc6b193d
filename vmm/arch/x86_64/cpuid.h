// What CPUID tells the guest: what this host's processor is, minus what a guest must not see, with
// the topology of the machine that it runs on: one socket, one thread a core, all cores behind one
// last-level cache. SDM 2, "CPUID"; AMD APM 3, appendix E.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "vmm/kvm/cpu_state.h"

namespace hull::x86_64 {

// `supported` is what the host's KVM offers; the result is for the vCPU whose APIC id is `apic_id`
// (below `cpus`, which is 1 to 32).
std::vector<CpuidEntry> FilterCpuid(std::span<const CpuidEntry> supported, uint32_t apic_id,
                                    uint32_t cpus);

// How many bits a guest-physical address may have on this host.
uint32_t PhysicalAddressBits(std::span<const CpuidEntry> supported);

}  // namespace hull::x86_64
