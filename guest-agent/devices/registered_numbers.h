// What kernel modules have brought that belongs to no device on a bus: NVIDIA's control node, AMD's
// /dev/kfd.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace hull::agent {

// A kind of device (block or not) and its major number.
using DeviceKind = std::pair<bool, uint32_t>;

// The lines of /proc/devices: "Character devices:", "195 nvidia", ...
std::set<DeviceKind> ParseDeviceKinds(std::string_view text);

// All that is registered with the kernel at one moment.
struct RegisteredNumbers {
  std::set<DeviceKind> kinds;
  // Numbers with a device in sysfs: "char/10:200".
  std::set<std::string> devices;

  static RegisteredNumbers Read(const std::string& sysfs, const std::string& proc);
};

// What is in `after` and was not in `before`.
struct Brought {
  std::set<DeviceKind> kinds;
  // As uevents have them; only those of no bus ("/devices/virtual/...").
  std::set<std::string> paths;

  bool empty() const { return kinds.empty() && paths.empty(); }
};
Brought Compare(const RegisteredNumbers& before, const RegisteredNumbers& after,
                const std::string& sysfs);

}  // namespace hull::agent
