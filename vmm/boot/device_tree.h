// The device tree of hull's x86 machine: all that the guest learns of it, apart from memory (e820)
// and the command line. Bindings: Linux, arch/x86/kernel/devicetree.c and Documentation/devicetree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/memory/guest_address.h"
#include "vmm/memory/guest_range.h"

namespace hull {

// What the node of a virtio device is compatible with, and that of one which is not needed at boot.
// No driver of Linux's knows the second: the agent has virtio-mmio take it when there is time
// (driver_override), so both sides know the name.
inline constexpr char kVirtioCompatible[] = "virtio,mmio";
inline constexpr char kLaterVirtioCompatible[] = "hull,virtio-mmio-later";

struct DeviceTreeVirtio {
  GuestAddress address;
  uint64_t size_bytes = 0;
  uint32_t interrupt_line = 0;  // input of the I/O APIC
  bool needed_at_boot = true;
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

// A PCI bus behind configuration mechanism #1.
struct DeviceTreePci {
  struct Line {
    uint32_t slot = 0;  // of the device
    uint32_t interrupt_line =
        0;  // input of the I/O APIC that its first pin raises, level-triggered
  };
  // Where the bus's regions are. Linux on x86 takes each device's own word for that.
  GuestRange ports;
  GuestRange low_memory;
  GuestRange high_memory;  // may be empty
  std::vector<Line> lines;
  // What of the guest's memory its devices reach; empty: all. (Linux with
  // kernel-config/patches/0007 keeps it for them.)
  GuestRange dma_pool;
};

struct DeviceTreeConfig {
  uint32_t cpus = 1;  // APIC ids 0 to cpus - 1
  GuestAddress local_apic;
  GuestAddress io_apic;
  DeviceTreeSystemControl system_control;
  std::vector<DeviceTreeVirtio> virtio;  // in the order in which the guest is to number them
  std::optional<DeviceTreePci> pci;      // nullopt: the machine has no PCI bus
};

// The flattened tree. A tree of 32 CPUs, 24 devices and a PCI bus stays below kMaxDeviceTreeBytes.
inline constexpr size_t kMaxDeviceTreeBytes = 16U << 10U;
Result<std::vector<std::byte>> MakeDeviceTree(const DeviceTreeConfig& config);

}  // namespace hull
