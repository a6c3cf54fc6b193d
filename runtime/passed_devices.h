// The host's devices that a container has: found again at each start, claimed, and told about.
//
// A claim is the container's record (`passed`), good while its run directory is locked: so that a
// second container is told who has the device, before either machine has opened it. VFIO itself
// lets only one have a group whatever is written down.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "guest-agent/protocol/agent.pb.h"
#include "runtime/container_record.h"
#include "runtime/containers.h"
#include "runtime/devices/device_request.h"
#include "runtime/devices/host_tree.h"
#include "vmm/base/result.h"

namespace hull {

// What `options` mean now: all of it there, on vfio-pci, fit and free; or an error says what is
// not, and what to do.
Result<devices::DeviceGrant> FindDevices(const Containers& containers,
                                         const devices::HostTree& host,
                                         const DeviceOptions& options);

// Names of the containers that have devices of the host's, by the devices' addresses.
std::map<std::string, std::string> HoldersOfDevices(const Containers& containers);

// FindDevices, and they are the container's: its record says so when this returns. Its run
// directory is locked by the caller. kUnavailable: another container has one of them, or another of
// its IOMMU group. `pinned_bytes`: memory that the machine locks in place; kExhausted: it cannot.
struct ClaimedDevices {
  devices::DeviceGrant grant;
  ContainerRecord record;  // as it now is
};
Result<ClaimedDevices> ClaimDevices(const Containers& containers, const devices::HostTree& host,
                                    const ContainerRecord& record, uint64_t pinned_bytes);

// Where device `index` of the list is on the guest's bus: "0000:00:01.0".
std::string GuestAddress(size_t index);

// Takes what the guest says of them over into `functions`: capped, and fit for a terminal. Returns
// what the user should know: one sentence for each that has no driver there.
std::vector<std::string> TakeReports(const agent::v1::CreateResponse& response,
                                     std::vector<PassedFunction>& functions);

// The OCI configuration `config` (JSON) of a container with the environment of `grant` set in it,
// over what is there, and its mounts behind the others.
Result<std::string> ApplyGrant(const std::string& config, const devices::DeviceGrant& grant,
                               std::string_view container_id);

}  // namespace hull
