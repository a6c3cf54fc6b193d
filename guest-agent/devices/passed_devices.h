// The passed-through devices of one container, from the bus to its /dev.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "guest-agent/devices/device_access.h"
#include "guest-agent/devices/device_tree.h"
#include "guest-agent/devices/node_directory.h"
#include "guest-agent/devices/registered_numbers.h"
#include "guest-agent/protocol/agent.pb.h"
#include "vmm/base/result.h"

namespace hull::agent {

// Lives on the agent's loop, with its container's record, until the container's first process has
// ended. In this order: Await, Follow, and Changed whenever the kernel announces something, from
// before Await on.
class PassedDevices {
 public:
  struct Places {
    std::string sysfs = "/sys";
    std::string kernel_log = "/dev/kmsg";
  };

  PassedDevices(boost::asio::io_context& io, Places places, std::vector<std::string> addresses);
  PassedDevices(const PassedDevices&) = delete;
  PassedDevices& operator=(const PassedDevices&) = delete;

  // Calls `done` once, on the loop and never from within this call, when the guest's drivers have
  // come to an end with all devices:
  //   kUnavailable: one is not on the bus;
  //   kFailed: its driver gave up, or an NVMe controller is dead; kTimedOut: not ready after
  //   `limit`.
  void Await(std::chrono::milliseconds limit, std::function<void(Status)> done);

  // Before Follow: what the container's modules brought is the container's, too.
  void AlsoGive(Brought brought) { brought_ = std::move(brought); }

  // Makes the nodes in `directory` and allows them, and keeps both true from now on. When it fails,
  // the container is not to be started.
  Status Follow(NodeDirectory directory, DeviceAccess access);

  // A uevent about `path`; empty: any.
  void Changed(std::string_view path);

  // As things are now, in the order of the addresses.
  std::vector<v1::DeviceReport> Reports() const;

 private:
  struct Device {
    std::string address;
    DeviceFindings findings;
  };

  // Nothing: ready. Else what is still being waited for.
  Result<std::optional<std::string>> Look(Device& device) const;
  void Check();
  void Finish(Status status);
  bool Concerns(std::string_view path) const;
  bool IsBrought(std::string_view path);
  bool IsDevice(std::string_view path) const;
  // The node of one device.
  void Update(const std::string& path);
  void LookAfter(std::chrono::milliseconds delay);
  // Brings nodes and leave into line with sysfs; the first error.
  Status Refresh();
  Status Add(const std::string& path, const DeviceNode& node);
  void Drop(const std::string& path);

  const Places places_;
  const DeviceTree tree_;
  std::vector<Device> devices_;
  Brought brought_;
  boost::asio::steady_timer deadline_;
  boost::asio::steady_timer soon_;
  bool looks_soon_ = false;
  bool look_at_all_ = false;
  std::set<std::string> once_more_;   // paths
  std::function<void(Status)> done_;  // set while waiting
  std::string waits_for_;

  std::optional<NodeDirectory> directory_;
  std::optional<DeviceAccess> access_;
  std::map<std::string, DeviceNode> given_;  // by path
  // A timer that has struck calls even when its owner has gone meanwhile: what it calls asks here.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace hull::agent
