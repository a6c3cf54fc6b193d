// A container that does not run, its files made reachable: its own machine with its own disks, in
// which the agent mounts the root file system and starts nothing. So the host's kernel never mounts
// what a container has written.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>

#include "runtime/containers.h"
#include "runtime/sandbox.h"
#include "vmm/base/result.h"

namespace hull {

class MaintenanceSandbox {
 public:
  // Boots it. While it lives the container cannot be started or removed. kUnavailable: the
  // container runs, or another command is at its files.
  static Result<std::unique_ptr<MaintenanceSandbox>> Start(const Containers& containers,
                                                           const ContainerRecord& record);
  MaintenanceSandbox(const MaintenanceSandbox&) = delete;
  MaintenanceSandbox& operator=(const MaintenanceSandbox&) = delete;
  // Without Finish, what was written may be lost.
  ~MaintenanceSandbox();

  AgentClient& agent() { return sandbox_->agent(); }

  // Writes everything to the disk and ends the machine.
  Status Finish();

 private:
  explicit MaintenanceSandbox(const Containers& containers) : containers_(containers) {}
  Status Boot(const ContainerRecord& record);

  const Containers& containers_;
  boost::asio::io_context io_{1};
  std::unique_ptr<Sandbox> sandbox_;
};

}  // namespace hull
