// What users write after --device and --gpus, made into what a VM and its container get.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/devices/cdi.h"
#include "runtime/devices/host_tree.h"
#include "runtime/devices/pci_address.h"
#include "vmm/base/result.h"

namespace hull::devices {

struct PciFunction {
  PciAddress address;
  uint32_t iommu_group = 0;
};

struct DeviceGrant {
  std::vector<PciFunction> functions;  // each once, in the order in which they were asked for
  // From CDI files; for the container.
  std::vector<std::string> environment;  // "NAME=value"
  std::vector<CdiEdits::Mount> mounts;
  std::vector<uint32_t> additional_gids;
};

// As many as a VM may have (the VM configuration's `vfio`).
inline constexpr size_t kMaxFunctions = 16;

// Whether --device TEXT asks for a passed-through device: pci=..., vfio=..., a PCI address, or a
// CDI name. (Else it is docker's "/dev/..." and somebody else's.)
bool IsDeviceRequest(std::string_view text);

// `devices`: of each --device. "pci=0000:01:00.0[,01:00.1...]" (or an address alone),
// "vfio=/dev/vfio/12" and "vfio=/dev/vfio/devices/vfio3", "vendor.com/class=name". `gpus`: of each
// --gpus. All functions are there, on vfio-pci, fit, and nobody else's; or an error says which is
// not, and what to do. (A VM that takes one meanwhile is seen when it is opened.)
Result<DeviceGrant> ResolveDevices(const HostTree& host, const std::vector<std::string>& devices,
                                   const std::vector<std::string>& gpus = {});

}  // namespace hull::devices
