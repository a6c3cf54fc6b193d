#include "vmm/arch/x86_64/cpuid.h"

#include <algorithm>
#include <bit>

namespace hull::x86_64 {
namespace {

constexpr uint32_t Bit(uint32_t number) {
  return 1U << number;
}

// Leaf 1.
constexpr uint32_t kEcxVmx = Bit(5);
constexpr uint32_t kEcxPerfCapabilities = Bit(15);  // PDCM
constexpr uint32_t kEcxTscDeadline = Bit(24);
constexpr uint32_t kEcxHypervisor = Bit(31);
constexpr uint32_t kEdxHyperThreading = Bit(28);
// Leaf 6.
constexpr uint32_t kEaxArat = Bit(2);
// Leaf 7.
constexpr uint32_t kEbxSgx = Bit(2);
constexpr uint32_t kEcxSgxLaunch = Bit(30);
constexpr uint32_t kEdxArchLbr = Bit(19);
// Leaf 0x80000001.
constexpr uint32_t kEcxSvm = Bit(2);
constexpr uint32_t kEcxInstructionSampling = Bit(10);
constexpr uint32_t kEcxPerfCore = Bit(23);
constexpr uint32_t kEcxPerfNorthbridge = Bit(24);
constexpr uint32_t kEcxPerfLastLevel = Bit(28);

constexpr uint32_t kTopologyCore = 2U << 8U;
constexpr uint32_t kTopologyThread = 1U << 8U;

void SetField(uint32_t& value, uint32_t shift, uint32_t width, uint32_t field) {
  const uint32_t mask = ((1U << width) - 1) << shift;
  value = (value & ~mask) | ((field << shift) & mask);
}

struct Topology {
  uint32_t apic_id;
  uint32_t cpus;
  // How many bits of an APIC id tell the cores of the socket apart.
  uint32_t core_bits() const { return static_cast<uint32_t>(std::bit_width(cpus - 1)); }
};

// Caches (Intel's leaf 4, AMD's 0x8000001d): the last level is shared by all, the others by nobody.
void FilterCache(CpuidEntry& entry, const Topology& topology, bool with_cores) {
  constexpr uint32_t kLastLevel = 3;
  const uint32_t type = entry.eax & 0x1fU;
  if (type == 0) return;
  const uint32_t level = (entry.eax >> 5U) & 7U;
  SetField(entry.eax, 14, 12, level >= kLastLevel ? topology.cpus - 1 : 0);
  if (with_cores) SetField(entry.eax, 26, 6, std::min(topology.cpus, 64U) - 1);
}

void FilterFeatures(CpuidEntry& entry, const Topology& topology) {
  entry.ecx &= ~(kEcxVmx | kEcxPerfCapabilities);
  entry.ecx |= kEcxTscDeadline | kEcxHypervisor;
  SetField(entry.ebx, 16, 8, 1U << topology.core_bits());
  SetField(entry.ebx, 24, 8, topology.apic_id);
  entry.edx &= ~kEdxHyperThreading;
  // "More than one logical processor in this package", whatever its name says.
  if (topology.cpus > 1) entry.edx |= kEdxHyperThreading;
}

void Clear(CpuidEntry& entry) {
  entry.eax = entry.ebx = entry.ecx = entry.edx = 0;
}

// Adjusts one entry; false when the guest is not to have it at all.
bool Filter(CpuidEntry& entry, const Topology& topology) {
  switch (entry.leaf) {
    case 1:
      FilterFeatures(entry, topology);
      return true;
    case 4:
      FilterCache(entry, topology, true);
      return true;
    case 6:
      // The local APIC timer goes on ticking whatever the vCPU does: nobody needs a PIT.
      entry.eax |= kEaxArat;
      return true;
    case 7:
      if (entry.subleaf == 0) {
        entry.ebx &= ~kEbxSgx;
        entry.ecx &= ~kEcxSgxLaunch;
        entry.edx &= ~kEdxArchLbr;
      }
      return true;
    case 0xa:  // performance counters
    case 0x12:
    case 0x1c:
    case 0x8000'000a:  // AMD-V
    case 0x8000'001b:  // instruction based sampling
    case 0x8000'001f:  // memory encryption
    case 0x8000'0022:  // performance counters
      Clear(entry);
      return true;
    case 0xb:  // made anew below
    case 0x1f:
      return false;
    case 0x8000'0001:
      entry.ecx &= ~(kEcxSvm | kEcxInstructionSampling | kEcxPerfCore | kEcxPerfNorthbridge |
                     kEcxPerfLastLevel);
      return true;
    case 0x8000'0008:
      SetField(entry.ecx, 0, 8, topology.cpus - 1);
      SetField(entry.ecx, 12, 4, topology.core_bits());
      return true;
    case 0x8000'001d:
      FilterCache(entry, topology, false);
      return true;
    case 0x8000'001e:
      entry.eax = topology.apic_id;
      entry.ebx = topology.apic_id;  // core id; one thread a core
      entry.ecx = 0;                 // one node
      return true;
    default:
      return true;
  }
}

// Leaf 0xb: one thread a core, all cores in one package.
void AddTopology(std::vector<CpuidEntry>& entries, const Topology& topology) {
  const auto add = [&](uint32_t subleaf, uint32_t shift, uint32_t count, uint32_t type) {
    entries.push_back({.leaf = 0xb,
                       .subleaf = subleaf,
                       .has_subleaf = true,
                       .eax = shift,
                       .ebx = count,
                       .ecx = type | subleaf,
                       .edx = topology.apic_id});
  };
  add(0, 0, 1, kTopologyThread);
  add(1, topology.core_bits(), topology.cpus, kTopologyCore);
  add(2, 0, 0, 0);
}

uint32_t MaxBasicLeaf(std::span<const CpuidEntry> entries) {
  for (const CpuidEntry& entry : entries) {
    if (entry.leaf == 0) return entry.eax;
  }
  return 0;
}

}  // namespace

std::vector<CpuidEntry> FilterCpuid(std::span<const CpuidEntry> supported, uint32_t apic_id,
                                    uint32_t cpus) {
  const Topology topology = {.apic_id = apic_id, .cpus = cpus};
  std::vector<CpuidEntry> entries;
  entries.reserve(supported.size() + 3);
  for (CpuidEntry entry : supported) {
    if (Filter(entry, topology)) entries.push_back(entry);
  }
  if (MaxBasicLeaf(entries) >= 0xb) AddTopology(entries, topology);
  return entries;
}

uint32_t PhysicalAddressBits(std::span<const CpuidEntry> supported) {
  // Every processor with long mode has 36 (SDM 3A, 4.1.4).
  constexpr uint32_t kLeaf = 0x8000'0008;
  constexpr uint32_t kAtLeast = 36;
  for (const CpuidEntry& entry : supported) {
    if (entry.leaf == kLeaf) return std::max(entry.eax & 0xffU, kAtLeast);
  }
  return kAtLeast;
}

}  // namespace hull::x86_64
