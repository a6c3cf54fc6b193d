// May this device be passed through, and if not, why not: every reason, with what to do about it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/devices/host_tree.h"
#include "runtime/devices/host_uses.h"
#include "runtime/devices/pci_device.h"
#include "vmm/base/result.h"

namespace hull::devices {

// What holds for all devices of a host.
struct IommuState {
  enum class Maker { kUnknown, kIntel, kAmd };
  Maker maker = Maker::kUnknown;  // of the processor
  size_t groups = 0;              // none: the IOMMU is off, or there is none
  // The firmware describes one (ACPI's DMAR or IVRS table).
  bool in_firmware = false;
  bool remaps_interrupts = false;
  // The operator told VFIO to do without (vfio_iommu_type1.allow_unsafe_interrupts).
  bool unsafe_interrupts_allowed = false;
  uint32_t physical_bits = 0;  // of the processor's addresses; 0: unknown
  std::string command_line;    // the kernel's

  static IommuState Read(const HostTree& host);

  // Empty when groups > 0. Else what to change: firmware, the kernel's command line, or both.
  std::string HowToSwitchOn() const;
};

struct Obstacle {
  enum class Kind {
    kBridge,
    kNoIommu,     // of the host
    kNotCovered,  // the host has an IOMMU, which this device is not behind
    kNoInterruptRemapping,
    kGroupShared,  // with a device that the host's driver has
    kNoReset,
    kBarUnassigned,  // the firmware left no room for it
    kBarsTooLarge,   // for the processor's addresses
    kVanished,       // it does not answer
    kHasFunctions,   // virtual ones, which would go with its driver
    kHostUse,        // see HostUse
    kVfioUser,       // another VM has it
  };
  Kind kind = Kind::kNoIommu;
  std::string text;    // "its IOMMU group 9 also holds 0000:00:1f.2 (driver ahci)"
  std::string remedy;  // empty: nothing can be done
  // --force goes over it: it would work, and the operator may know better.
  bool can_be_forced = false;
};

// In the order in which they matter; empty: fit. `together`: devices that are bound in the same
// step, and so do not count against each other.
std::vector<Obstacle> ObstaclesOf(const HostTree& host, const IommuState& iommu,
                                  const HostUses& uses, const PciDevice& device,
                                  std::span<const PciAddress> together = {});

// One error for all of them: the first as its text, the others behind it; the first remedy as hint.
// `obstacles` is not empty.
Error AsError(const PciDevice& device, std::span<const Obstacle> obstacles);

// Whether this process may lock `bytes` of memory, as VFIO does with all that a guest has, and the
// host has that much. kExhausted with what to change.
Status CheckLockedMemory(const HostTree& host, uint64_t bytes);
// The same from its numbers: `limit_bytes` is RLIMIT_MEMLOCK (UINT64_MAX: none).
Status CheckLockedMemory(uint64_t bytes, uint64_t limit_bytes, bool may_exceed);

}  // namespace hull::devices
