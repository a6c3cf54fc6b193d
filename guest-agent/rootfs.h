// A container's root file system: read-only EROFS layers and a writable place under one overlay.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "guest-agent/protocol/agent.pb.h"
#include "vmm/base/result.h"

namespace hull::agent {

// One option of the new mount API: a key with a value, or a flag (empty value).
using MountOption = std::pair<std::string, std::string>;

// Those of the mounted `layers` (lowest first) that can be seen. Overlayfs does not ask the root of
// a layer whether it hides what is below (fs/overlayfs/super.c), so the layers below such a root
// are left out.
std::vector<std::string> VisibleLayers(const std::vector<std::string>& layers);

// The overlay's options, in the order in which they are to be given. `layers` are the mounted
// layers, lowest first.
std::vector<MountOption> OverlayOptions(const std::vector<std::string>& layers,
                                        const std::string& upper, const std::string& work);

// Checks the request: number of layers, device names, sizes. kInvalidArgument names the field.
Status ValidateRootFilesystem(const v1::RootFilesystem& rootfs);

// `device` must be a path below /dev. kInvalidArgument names `field`.
Status ValidateDevice(const std::string& field, const std::string& device);

// Devices named there that have no node yet.
std::vector<std::string> MissingDevices(const v1::RootFilesystem& rootfs);

// Mounts one layer on `target`, which is made if it is not there. `attributes`: MOUNT_ATTR_* beside
// MOUNT_ATTR_RDONLY.
Status MountLayer(const v1::Layer& layer, const std::string& target, unsigned int attributes);

// Mounts below `directory` (which exists and is empty): the result is `<directory>/rootfs`, the
// writable layer `<directory>/rw`. After an error everything is unmounted again.
Status MountRootFilesystem(const v1::RootFilesystem& rootfs, const std::string& directory);

// Mounts the layers alone, read-only, at `<directory>/lower`: what the root file system was before
// the container changed it. For a process with a mount namespace of its own, which is their end.
Status MountLayersOnly(const v1::RootFilesystem& rootfs, const std::string& directory);

// Unmounts what MountRootFilesystem mounted, in so far as it is there.
void UnmountRootFilesystem(const std::string& directory);

}  // namespace hull::agent
