// SR-IOV: makes a device's virtual functions, each a device of its own for a VM.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/devices/host_tree.h"
#include "runtime/devices/pci_device.h"
#include "vmm/base/result.h"

namespace hull::devices {

// Makes it `count` virtual functions (0: none), and returns them. The host's drivers do not take
// them: they are meant for VMs. The physical function keeps its driver, which has to know SR-IOV.
// Others that there are go first; kUnavailable while one of those is in use. Needs root.
Result<std::vector<PciAddress>> SetVirtualFunctions(const HostTree& host, const PciAddress& address,
                                                    uint32_t count);

}  // namespace hull::devices
