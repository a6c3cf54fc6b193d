// --device, --gpus and the annotations hull.modules and hull.dma-pool: which of the host's devices
// the container's virtual machine gets, and what goes with them.
#pragma once

#include "runtime/cli/flag_reader.h"
#include "runtime/container_options.h"
#include "runtime/devices/host_tree.h"
#include "vmm/base/result.h"

namespace hull::cli {

// As many as one request of the agent's protocol may have.
inline constexpr size_t kMaxModules = 32;

// After the annotations. Only the words are looked at; `host` tells which PCI device is behind a
// node that cannot be passed. kUnsupported: docker's --device with a node of the host's.
Status ReadDeviceFlags(const FlagReader& reader, const devices::HostTree& host,
                       ContainerOptions& container);

}  // namespace hull::cli
