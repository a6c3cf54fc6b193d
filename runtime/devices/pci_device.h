// One PCI function of the host, as the kernel tells of it in sysfs.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/devices/host_tree.h"
#include "runtime/devices/pci_address.h"
#include "vmm/base/result.h"

namespace hull::devices {

inline constexpr const char* kPciDevicesPath = "/sys/bus/pci/devices";
inline constexpr const char* kVfioDriver = "vfio-pci";

struct Bar {
  enum class Kind { kNone, kPort, kMemory32, kMemory64 };
  Kind kind = Kind::kNone;
  bool prefetchable = false;
  // The kernel found no room for it: the device cannot be switched on.
  bool unassigned = false;
  uint64_t size_bytes = 0;
};

struct PciDevice {
  static constexpr size_t kBars = 6;

  PciAddress address;
  uint16_t vendor = 0;
  uint16_t device = 0;
  uint16_t subsystem_vendor = 0;
  uint16_t subsystem_device = 0;
  uint8_t revision = 0;
  uint32_t class_code = 0;  // class, subclass, programming interface: 24 bits

  std::string driver;    // empty: none
  std::string override;  // driver_override; empty: none
  // std::nullopt: the host has no IOMMU, or it does not cover the device.
  std::optional<uint32_t> iommu_group;
  std::vector<PciAddress> group_members;  // the others of the group, sorted

  std::array<Bar, kBars> bars;
  std::vector<std::string>
      reset_methods;        // the kernel's names, best first: "flr", "pm", "bus", ...
  std::string power_state;  // "D0", "D3hot", ...; "unknown" without power management
  std::optional<int32_t> numa_node;
  // The firmware's display, where the host's messages go.
  bool is_boot_display = false;

  uint32_t total_vfs = 0;  // SR-IOV: how many virtual functions there can be, and are
  uint32_t active_vfs = 0;
  std::vector<PciAddress> virtual_functions;
  std::optional<PciAddress> physical_function;  // of a virtual function

  bool IsBridge() const { return (class_code >> 16U) == 0x06; }
  bool IsDisplay() const { return (class_code >> 16U) == 0x03; }
  // What `hull run --gpus` counts: VGA and 3D controllers and other displays.
  bool IsGpu() const { return IsDisplay(); }
  bool IsOnVfio() const { return driver == kVfioDriver; }

  // "/sys/bus/pci/devices/0000:01:00.0", without a slash at the end.
  std::string Path() const;
};

// kNotFound: there is no such device (any more).
Result<PciDevice> ReadPciDevice(const HostTree& host, const PciAddress& address);

// All that there are, by address. A host without PCI has none.
std::vector<PciDevice> ListPciDevices(const HostTree& host);

}  // namespace hull::devices
