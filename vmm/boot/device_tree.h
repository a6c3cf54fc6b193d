// The device tree of hull's x86 machine: all that the guest learns of it, apart from memory (e820)
// and the command line. Bindings: Linux, arch/x86/kernel/devicetree.c and Documentation/devicetree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/memory/guest_address.h"

namespace hull {

struct DeviceTreeVirtio {
  GuestAddress address;
  uint64_t size_bytes = 0;
  uint32_t interrupt_line = 0;  // input of the I/O APIC
};

// The system control page (vmm/machine/system_control.h).
struct DeviceTreeSystemControl {
  GuestAddress power_address;
  uint64_t power_bytes = 0;
  uint32_t power_off_offset = 0;
  uint32_t power_off_value = 0;
  GuestAddress panic_address;
  uint64_t panic_bytes = 0;
};

struct DeviceTreeConfig {
  uint32_t cpus = 1;  // APIC ids 0 to cpus - 1
  GuestAddress local_apic;
  GuestAddress io_apic;
  DeviceTreeSystemControl system_control;
  std::vector<DeviceTreeVirtio> virtio;  // in the order in which the guest is to number them
};

// The flattened tree. A tree of 32 CPUs and 24 devices stays below kMaxDeviceTreeBytes.
inline constexpr size_t kMaxDeviceTreeBytes = 16U << 10U;
Result<std::vector<std::byte>> MakeDeviceTree(const DeviceTreeConfig& config);

}  // namespace hull
