#include "guest-agent/devices/passed_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "guest-agent/devices/kernel_lines.h"
#include "guest-agent/kernel_log.h"
#include "vmm/base/escape.h"

namespace hull::agent {
namespace {

using std::chrono::milliseconds;

// Every announcement is acted on at once, by looking at what it names, and once more a little
// later, for some come before what they announce is over. Everything is looked at only when some
// were lost or a driver came or went: meanwhile a script's next command would wait for its
// partition.
constexpr milliseconds kLater{50};
constexpr size_t kKernelLines = 4;

bool IsOnItsWay(const std::string& state) {
  return state == "new" || state == "resetting" || state == "connecting";
}

std::vector<std::string> KernelLinesAbout(const std::string& kernel_log, const std::string& address,
                                          const DeviceFindings& findings) {
  std::vector<std::string> words = {address};
  for (const NvmeController& controller : findings.nvme) words.push_back(controller.name + ":");
  return KernelLinesWith(words, kKernelLines, kernel_log);
}

bool IsBelow(std::string_view path, std::string_view parent) {
  return path.starts_with(parent) && (path.size() == parent.size() || path[parent.size()] == '/');
}

}  // namespace

PassedDevices::PassedDevices(boost::asio::io_context& io, Places places,
                             std::vector<std::string> addresses)
    : places_(std::move(places)), tree_(places_.sysfs), deadline_(io), soon_(io) {
  for (std::string& address : addresses) devices_.push_back({std::move(address), {}});
}

// The kernel enumerates the bus and lets built-in drivers finish, those that probe asynchronously
// included, before it mounts the root file system and starts PID 1 (prepare_namespace() calls
// wait_for_device_probe()); loading a module waits in the same way (do_init_module() calls
// async_synchronize_full()). So by now a device that is not on the bus will not come, and one
// without a driver has none. An NVMe driver's probe flushes the work that scans for namespaces
// (nvme_probe()), so after it all of them are there; only a reset, which the driver may begin at
// any time, leaves a controller in a state on its way to another.
Result<std::optional<std::string>> PassedDevices::Look(Device& device) const {
  HULL_ASSIGN(device.findings, tree_.Find(device.address));
  const DeviceFindings& findings = device.findings;
  for (const NvmeController& controller : findings.nvme) {
    if (IsOnItsWay(controller.state)) {
      return fmt::format("NVMe controller {} is {}", controller.name, controller.state);
    }
    if (controller.state == "dead" || controller.state.starts_with("deleting")) {
      return Fail(ErrorCode::kFailed, "device {}: its NVMe controller {} is {}{}", device.address,
                  controller.name, controller.state,
                  InKernelsWords(KernelLinesAbout(places_.kernel_log, device.address, findings)));
    }
  }
  if (!findings.driver.empty()) return std::nullopt;
  const std::vector<std::string> lines =
      KernelLinesAbout(places_.kernel_log, device.address, findings);
  // dd.c: "probe with driver %s failed with error %d"; not said when the driver merely declines.
  const bool gave_up = std::any_of(lines.begin(), lines.end(), [](const std::string& line) {
    return line.find("probe with driver") != std::string::npos &&
           line.find("failed with error") != std::string::npos;
  });
  if (gave_up) {
    return Fail(ErrorCode::kFailed, "device {}: the guest's driver gave up{}", device.address,
                InKernelsWords(lines));
  }
  return std::nullopt;
}

void PassedDevices::Await(milliseconds limit, std::function<void(Status)> done) {
  done_ = std::move(done);
  deadline_.expires_after(limit);
  const std::weak_ptr<char> alive = alive_;
  deadline_.async_wait([this, alive](const boost::system::error_code& cancelled) {
    if (cancelled || alive.expired() || !done_) return;
    Error error =
        MakeError(ErrorCode::kTimedOut, "a passed-through device is not ready: {}", waits_for_);
    Finish(Fail(std::move(error)));
  });
  // From the loop: the caller need not reckon with an answer before this returns.
  LookAfter(milliseconds(0));
}

void PassedDevices::Check() {
  if (!done_) return;
  for (Device& device : devices_) {
    Result<std::optional<std::string>> looked = Look(device);
    if (!looked) return Finish(Fail(std::move(looked).error()));
    if (*looked) {
      waits_for_ = fmt::format(
          "device {}: {}{}", device.address, EscapeControl(**looked),
          InKernelsWords(KernelLinesAbout(places_.kernel_log, device.address, device.findings)));
      return;
    }
  }
  Finish({});
}

void PassedDevices::Finish(Status status) {
  deadline_.cancel();
  std::exchange(done_, nullptr)(std::move(status));
}

bool PassedDevices::Concerns(std::string_view path) const {
  return std::any_of(devices_.begin(), devices_.end(), [&](const Device& device) {
    const DeviceFindings& findings = device.findings;
    return IsBelow(path, findings.path) ||
           std::any_of(findings.other_paths.begin(), findings.other_paths.end(),
                       [&](const std::string& other) { return IsBelow(path, other); });
  });
}

// A device of a kind that a module brought may come later.
bool PassedDevices::IsBrought(std::string_view path) {
  if (brought_.empty() || !path.starts_with("/devices/virtual/")) return false;
  const std::string name(path);
  if (brought_.paths.contains(name)) return true;
  const std::optional<DeviceNode> node = tree_.NodeAt(path);
  if (!node || !brought_.kinds.contains({node->block, node->major})) return false;
  brought_.paths.insert(name);
  return true;
}

void PassedDevices::Changed(std::string_view path) {
  if (!path.empty() && !Concerns(path) && !IsBrought(path)) return;
  // Waiting for a driver is not a matter of milliseconds, but a partition may be used by the next
  // command of a script.
  if (path.empty() || IsDevice(path)) {
    look_at_all_ = true;
  } else if (directory_) {
    Update(*once_more_.emplace(path).first);
  }
  LookAfter(kLater);
}

// One of the PCI devices itself, which the driver core announces when a driver came or went.
bool PassedDevices::IsDevice(std::string_view path) const {
  return std::any_of(devices_.begin(), devices_.end(),
                     [&](const Device& device) { return device.findings.path == path; });
}

void PassedDevices::Update(const std::string& path) {
  const std::optional<DeviceNode> node = tree_.NodeAt(path);
  if (!node) return Drop(path);
  if (const Status added = Add(path, *node); !added) {
    LogWarning("passed-through device: {}", added.error().ToString());
  }
}

void PassedDevices::LookAfter(milliseconds delay) {
  if (std::exchange(looks_soon_, true)) return;
  soon_.expires_after(delay);
  soon_.async_wait(
      [this, alive = std::weak_ptr<char>(alive_)](const boost::system::error_code& cancelled) {
        if (cancelled || alive.expired()) return;
        looks_soon_ = false;
        Check();
        // Whoever waited may have discarded the container.
        if (alive.expired() || !directory_) return;
        for (const std::string& path : std::exchange(once_more_, {})) Update(path);
        if (!std::exchange(look_at_all_, false)) return;
        if (const Status refreshed = Refresh(); !refreshed) {
          LogWarning("passed-through devices: {}", refreshed.error().ToString());
        }
      });
}

Status PassedDevices::Follow(NodeDirectory directory, DeviceAccess access) {
  directory_ = std::move(directory);
  access_ = std::move(access);
  for (const DeviceKind& kind : brought_.kinds) HULL_TRY(access_->AllowKind(kind));
  return Refresh();
}

Status PassedDevices::Refresh() {
  std::set<std::string> there;
  Status first;
  for (Device& device : devices_) {
    Result<DeviceFindings> findings = tree_.Find(device.address);
    if (!findings) {
      // It has gone from the bus: so have its nodes.
      device.findings.nodes.clear();
      if (first) first = Fail(std::move(findings).error());
      continue;
    }
    device.findings = std::move(*findings);
    for (const FoundNode& found : device.findings.nodes) there.insert(found.path);
  }
  std::vector<FoundNode> more;
  for (const std::string& path : brought_.paths) {
    if (std::optional<DeviceNode> node = tree_.NodeAt(path)) more.push_back({path, *node});
  }
  for (const FoundNode& found : more) there.insert(found.path);
  // First what has gone: a number may be another's by now.
  std::vector<std::string> gone;
  for (const auto& [path, node] : given_) {
    if (!there.contains(path)) gone.push_back(path);
  }
  for (const std::string& path : gone) Drop(path);
  const auto add = [&](const std::vector<FoundNode>& nodes) {
    for (const FoundNode& found : nodes) {
      Status added = Add(found.path, found.node);
      if (!added && first) first = std::move(added);
    }
  };
  for (const Device& device : devices_) add(device.findings.nodes);
  add(more);
  return first;
}

Status PassedDevices::Add(const std::string& path, const DeviceNode& node) {
  const auto found = given_.find(path);
  if (found != given_.end()) {
    if (found->second == node) return {};
    Drop(path);
  }
  HULL_TRY(access_->Allow(node));
  // Given, whatever becomes of its name: leave must be taken back when the device goes.
  given_[path] = node;
  return directory_->Make(node);
}

void PassedDevices::Drop(const std::string& path) {
  const auto found = given_.find(path);
  if (found == given_.end()) return;
  const DeviceNode node = std::move(found->second);
  given_.erase(found);
  if (const Status removed = directory_->Remove(node); !removed) {
    LogWarning("passed-through device: {}", removed.error().ToString());
  }
  if (const Status revoked = access_->Revoke(node); !revoked) {
    LogWarning("passed-through device: {}", revoked.error().ToString());
  }
}

std::vector<v1::DeviceReport> PassedDevices::Reports() const {
  std::vector<v1::DeviceReport> reports;
  for (const Device& device : devices_) {
    v1::DeviceReport report;
    report.set_address(device.address);
    report.set_driver(device.findings.driver);
    for (const FoundNode& found : device.findings.nodes) {
      report.add_nodes("/dev/" + found.node.name);
    }
    for (const std::string& name : device.findings.interfaces) report.add_interfaces(name);
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace hull::agent
