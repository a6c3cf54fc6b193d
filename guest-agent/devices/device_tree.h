// What the guest's kernel has made of a PCI device: driver, device nodes, network interfaces. Read
// from sysfs, which is the truth; uevents only say when to look.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace hull::agent {

// A node as devtmpfs would make it.
struct DeviceNode {
  std::string name;  // below /dev: "nvme0n1", "dri/card0"
  bool block = false;
  uint32_t major = 0;
  uint32_t minor = 0;
  uint32_t mode = 0600;  // permission bits
  uint32_t uid = 0;
  uint32_t gid = 0;

  bool operator==(const DeviceNode&) const = default;
};

// The text of a `uevent` file, without `block`. Nothing: the device has no node, or one of a name
// or number that cannot be.
std::optional<DeviceNode> ParseUevent(std::string_view text);

struct FoundNode {
  // Of its device, as uevents have it: "/devices/pci0000:00/0000:00:01.0/nvme/nvme0".
  std::string path;
  DeviceNode node;

  bool operator==(const FoundNode&) const = default;
};

// An NVMe controller; its state in the kernel's words.
struct NvmeController {
  std::string name;
  std::string state;
};

struct DeviceFindings {
  std::string path;                     // as FoundNode's
  std::string driver;                   // empty: none
  std::vector<FoundNode> nodes;         // in the order of their names
  std::vector<std::string> interfaces;  // in the order of their names
  std::vector<NvmeController> nvme;     // in the order of their names
  // Places outside of `path` that belong to the device: NVMe subsystems, below which the namespaces
  // of a controller that may have siblings are.
  std::vector<std::string> other_paths;
};

class DeviceTree {
 public:
  static constexpr size_t kMaxNodes = 4096;
  // `sysfs`: where it is mounted, without a slash at the end. `max_nodes`: of one device.
  explicit DeviceTree(std::string sysfs, size_t max_nodes = kMaxNodes)
      : sysfs_(std::move(sysfs)), max_nodes_(max_nodes) {}

  // The PCI device's findings. kUnavailable: there is no such device (or no PCI bus), in words for
  // the user; kExhausted: more than a device can have.
  Result<DeviceFindings> Find(const std::string& address) const;

  // What is at `path` (of a uevent) now. Nothing: no device, or one without a node.
  std::optional<DeviceNode> NodeAt(std::string_view path) const;

 private:
  Error NoDevice(const std::string& address) const;

  std::string sysfs_;
  size_t max_nodes_;
};

// "0000:00:01.0", with lower-case hexadecimal digits.
bool IsPciAddress(std::string_view address);

}  // namespace hull::agent
