// A container's /dev, held open since before its first instruction.
//
// The container is hostile: later it may unmount, rename, replace or cover whatever it sees. What
// is held here stays the file system that crun mounted for it, and nothing outside of that is ever
// touched: names in it are resolved below it, through no link and into no other mount.
#pragma once

#include "guest-agent/devices/device_tree.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::agent {

class NodeDirectory {
 public:
  // `container_root`: the root of the container's first process, not yet started. kInvalidArgument:
  // its /dev is not a tmpfs of its own.
  static Result<NodeDirectory> Open(int container_root);
  // Any directory, for tests.
  explicit NodeDirectory(UniqueFd directory) : directory_(std::move(directory)) {}

  // Makes the node, and directories on the way. One that is there already is fine. kAlreadyExists:
  // the container has something else there, and keeps it.
  Status Make(const DeviceNode& node) const;
  // Removes it, if it is that node (and not something that the container put there).
  Status Remove(const DeviceNode& node) const;

 private:
  enum class Missing { kMade, kError };
  Result<UniqueFd> Parent(const std::vector<std::string>& parts, Missing missing) const;

  UniqueFd directory_;
};

}  // namespace hull::agent
