// How `hull device` shows devices: rows of a list, and one document of all that is known of each.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "runtime/containers.h"
#include "runtime/devices/fitness.h"
#include "runtime/devices/host_tree.h"
#include "runtime/devices/pci_device.h"
#include "runtime/devices/pci_names.h"
#include "vmm/base/result.h"

namespace hull::cli {

// A device and what is thought of it.
struct DeviceView {
  devices::PciDevice device;
  std::string class_name;   // "Non-Volatile memory controller"; its number when it has no name
  std::string vendor_name;  // of pci.ids; else empty
  std::string device_name;
  std::vector<devices::Obstacle> obstacles;
  std::string driver_before;  // that hull took it from
  bool is_persistent = false;
  std::string container;  // the name of the one that has it; else empty

  // "bound" and free, "in use" by a VM, "unfinished": taken from its driver and not bound, or
  // "host".
  std::string_view State() const;
  // May be passed through as it is, or after `hull device bind`.
  bool IsFit() const { return obstacles.empty(); }
  std::string Name() const;  // "Intel Corporation 82574L Gigabit Network Connection", "[8086:10d3]"
};

// All devices of the host, by address.
std::vector<DeviceView> ViewDevices(const devices::HostTree& host);
// These, in this order. kNotFound.
Result<std::vector<DeviceView>> ViewDevices(const devices::HostTree& host,
                                            std::span<const devices::PciAddress> addresses);

// Says in each which container has it.
void NameHolders(const Containers& containers, std::vector<DeviceView>& views);

// "key=value": address, class, vendor, driver, group, state, fit (true, false). Of several filters
// with one key any has to fit, of different keys each. kInvalidArgument.
Result<std::vector<DeviceView>> FilterDevices(std::vector<DeviceView> views,
                                              const std::vector<std::string>& filters);

// `format`: table, json, or a template. `truncate`: names and reasons are cut to what a line bears.
Result<std::string> FormatDevices(std::span<const DeviceView> views, std::string_view format,
                                  bool truncate);

// What `hull device inspect` shows.
boost::json::object DescribeDevice(const DeviceView& view);

}  // namespace hull::cli
