// Leave to use further devices, for one container: in front of the device program that crun
// attached to its control group.
//
// Among programs of a control group all must agree, so leave cannot be added by one program more;
// and crun's own way (`crun update`) is a process for each change, while whoever runs `mkfs` after
// `fdisk` expects the partition to be there. So a program of our own takes the place of crun's: it
// allows what is in a table, and leaves everything else to crun's, by a tail call. What crun's
// program denies stays denied, and a device more is one entry in the table.
#pragma once

#include <string>

#include "guest-agent/devices/device_tree.h"
#include "guest-agent/devices/registered_numbers.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::agent {

class DeviceAccess {
 public:
  // `cgroup`: the directory of a group that crun has made, before its container is started. A group
  // without a device program allows everything, and stays so.
  static Result<DeviceAccess> Attach(const std::string& cgroup);

  // rwm on the node's number.
  Status Allow(const DeviceNode& node) const;
  // rwm on every device of that kind.
  Status AllowKind(const DeviceKind& kind) const;
  // The number may be another device's from now on. Fine when it was not allowed.
  Status Revoke(const DeviceNode& node) const;

 private:
  DeviceAccess() = default;

  UniqueFd table_;  // invalid: everything is allowed
  // Held, not used: the kernel empties a table of programs when its last descriptor is closed, and
  // everything would be denied.
  UniqueFd programs_;
};

}  // namespace hull::agent
