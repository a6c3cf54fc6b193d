// Takes PCI devices from the host's drivers to vfio-pci, and gives them back.
//
// What a device's driver was is written down before anything is changed (kBindingDirectory, one
// small JSON file a device; gone after a restart, as is the binding). Each step is one write to
// sysfs. A kill between two of them leaves a device that both Bind and Unbind understand and
// finish. One command at a time does this: the directory is locked.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/devices/host_tree.h"
#include "runtime/devices/pci_device.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::devices {

inline constexpr const char* kBindingDirectory = "/run/hull-devices";
inline constexpr const char* kUdevRules = "/etc/udev/rules.d";

// modprobe(8): loads a module that is not loaded yet.
using ModuleLoader = std::function<Status(const std::string& module)>;
// By the host's own program (/proc/sys/kernel/modprobe). Blocks.
ModuleLoader HostModuleLoader(const HostTree& host);

struct BindOptions {
  bool force = false;
  // Also at each start of the host: with a udev rule that has `program` (hull's own path) do it, by
  // force if it was by force now.
  bool persist = false;
  std::string program;
};

struct BindOutcome {
  PciAddress address;
  std::string driver_before;  // empty: none
  bool changed = false;       // false: it was there already
};

struct UnbindOutcome {
  PciAddress address;
  std::string driver;             // that has it now; empty: none
  bool still_persistent = false;  // the host will bind it again when it starts
};

class Binder {
 public:
  // `host` outlives this.
  Binder(const HostTree& host, ModuleLoader load_module);

  // All of `addresses` or none: what is in the way of any is an error before the first is touched,
  // and what was done is undone when a step fails. Devices of one group can be named together. The
  // order is kept. Needs root.
  Result<std::vector<BindOutcome>> Bind(std::span<const PciAddress> addresses,
                                        const BindOptions& options);

  // Back to the driver that it came from; without a record, to the one that the kernel chooses.
  // kUnavailable while a process has it open: the kernel would wait for that, and nothing could end
  // the wait. `persist`: take away the udev rule, too.
  Result<UnbindOutcome> Unbind(const PciAddress& address, bool persist);

  // What the driver was before, if hull took the device and it is not back yet.
  std::optional<std::string> DriverBefore(const PciAddress& address) const;
  bool IsPersistent(const PciAddress& address) const;

 private:
  struct Record {
    uint16_t vendor = 0;
    uint16_t device = 0;
    std::string driver;
    std::string override;
  };

  Result<UniqueFd> Lock() const;
  std::string RecordPath(const PciAddress& address) const;
  std::string RulePath(const PciAddress& address) const;
  // std::nullopt: there is none, or it is of another device that was at this address.
  std::optional<Record> ReadRecord(const PciDevice& device) const;
  Status WriteRecord(const PciDevice& device) const;
  // `together`: what is bound in the same step; those of the same group go into the rule.
  Status WriteRule(const PciDevice& device, std::span<const PciDevice> together,
                   const BindOptions& options) const;
  Status BindOne(const PciDevice& device);
  Status GiveBack(const PciDevice& device);

  const HostTree& host_;
  ModuleLoader load_module_;
};

}  // namespace hull::devices
