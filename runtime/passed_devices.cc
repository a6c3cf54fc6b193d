#include "runtime/passed_devices.h"

#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "runtime/container_id.h"
#include "runtime/container_lock.h"
#include "runtime/devices/fitness.h"
#include "runtime/devices/pci_device.h"
#include "runtime/directory_files.h"
#include "runtime/host_files.h"
#include "vmm/base/escape.h"

namespace hull {
namespace {

namespace json = boost::json;

constexpr size_t kShortIdLength = 12;
// Of what a guest says of one device.
constexpr int kMaxNames = 256;
constexpr size_t kMaxNameBytes = 255;

// One claim at a time. Nothing else locks this directory itself.
Result<UniqueFd> LockClaims(const Containers& containers) {
  const std::string path = containers.layout().ContainersDirectory();
  HULL_ASSIGN(UniqueFd fd, OpenDirectory(path));
  while (flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return FailErrno("lock {}", path);
  }
  return fd;
}

// Of containers whose run directory is somebody's: running, or about to.
Result<std::vector<ContainerRecord>> LiveContainers(const Containers& containers,
                                                    const std::string& but) {
  std::vector<ContainerRecord> live;
  HULL_TRY(ForEachName(containers.layout().run_root, [&](std::string_view name) {
    const std::string id(name);
    if (!IsContainerId(id) || id == but || !IsLocked(containers.RunDirectoryPath(id))) return;
    Result<ContainerRecord> record = ReadRecord(containers.RecordPath(id));
    if (record && !record->passed.empty()) live.push_back(std::move(*record));
  }));
  return live;
}

Status CheckFree(const std::vector<PassedFunction>& wanted, const ContainerRecord& other) {
  for (const PassedFunction& function : wanted) {
    for (const PassedFunction& taken : other.passed) {
      const bool is_same = taken.address == function.address;
      if (!is_same && taken.iommu_group != function.iommu_group) continue;
      const std::string who =
          fmt::format("container {} ({})", other.name, other.id.substr(0, kShortIdLength));
      const std::string end = fmt::format("hull stop {} frees it", other.name);
      if (is_same) {
        return Fail(MakeError(ErrorCode::kUnavailable, "device {} is in use already: {} has it",
                              function.address, who)
                        .WithHint(end));
      }
      return Fail(MakeError(ErrorCode::kUnavailable,
                            "device {}: its IOMMU group {} belongs to one VM at a time, and {} has "
                            "{} of it",
                            function.address, function.iommu_group, who, taken.address)
                      .WithHint(fmt::format("{}; one container can have both: --device pci={},{}",
                                            end, taken.address, function.address)));
    }
  }
  return {};
}

std::vector<PassedFunction> FunctionsOf(const devices::HostTree& host,
                                        const devices::DeviceGrant& grant) {
  std::vector<PassedFunction> functions;
  for (const devices::PciFunction& granted : grant.functions) {
    PassedFunction function;
    function.address = granted.address.ToString();
    function.iommu_group = granted.iommu_group;
    function.guest_address = GuestAddress(functions.size());
    // Gone within this moment: hull-vmm will say so.
    if (const auto device = devices::ReadPciDevice(host, granted.address)) {
      function.vendor = device->vendor;
      function.device = device->device;
    }
    functions.push_back(std::move(function));
  }
  return functions;
}

json::object& ObjectIn(json::object& object, std::string_view name) {
  json::value& value = object[name];
  if (!value.is_object()) value.emplace_object();
  return value.get_object();
}

json::array& ArrayIn(json::object& object, std::string_view name) {
  json::value& value = object[name];
  if (!value.is_array()) value.emplace_array();
  return value.get_array();
}

void SetVariable(json::array& environment, const std::string& setting) {
  const std::string start = setting.substr(0, setting.find('=') + 1);
  auto* const same =
      std::find_if(environment.begin(), environment.end(), [&](const json::value& entry) {
        return entry.is_string() && entry.get_string().starts_with(start);
      });
  if (same != environment.end()) {
    *same = json::string(setting);
  } else {
    environment.emplace_back(setting);
  }
}

// Whoever looked at the host's processes knows the container's id alone.
Error NameContainers(const Error& error, const std::vector<ContainerRecord>& live) {
  std::string text = error.ToString();
  for (const ContainerRecord& record : live) {
    const std::string id = "container " + record.id.substr(0, kShortIdLength);
    const size_t at = text.find(id);
    if (at == std::string::npos) continue;
    text.insert(at + std::string_view("container ").size(), record.name + " (");
    text.insert(at + id.size() + record.name.size() + 2, ")");
  }
  return text == error.ToString() ? error : Error(error.code(), text).WithHint(error.hint());
}

std::string Word(const std::string& text) {
  return EscapeControl(std::string_view(text).substr(0, kMaxNameBytes));
}

}  // namespace

Result<devices::DeviceGrant> FindDevices(const Containers& containers,
                                         const devices::HostTree& host,
                                         const DeviceOptions& options) {
  Result<devices::DeviceGrant> grant = devices::ResolveDevices(host, options.devices, options.gpus);
  if (!grant) {
    HULL_ASSIGN(const std::vector<ContainerRecord> live, LiveContainers(containers, ""));
    return Fail(NameContainers(grant.error(), live));
  }
  HULL_TRY_WITHIN("CDI device injection failed", CheckMounts(grant->mounts));
  return grant;
}

std::map<std::string, std::string> HoldersOfDevices(const Containers& containers) {
  std::map<std::string, std::string> holders;
  const Result<std::vector<ContainerRecord>> live = LiveContainers(containers, "");
  if (!live) return holders;
  for (const ContainerRecord& record : *live) {
    for (const PassedFunction& function : record.passed) holders[function.address] = record.name;
  }
  return holders;
}

Result<ClaimedDevices> ClaimDevices(const Containers& containers, const devices::HostTree& host,
                                    const ContainerRecord& record, uint64_t pinned_bytes) {
  HULL_ASSIGN(const UniqueFd lock, LockClaims(containers));
  HULL_ASSIGN(const std::vector<ContainerRecord> others, LiveContainers(containers, record.id));
  ClaimedDevices claimed;
  HULL_ASSIGN(claimed.grant, FindDevices(containers, host, record.devices));
  std::vector<PassedFunction> functions = FunctionsOf(host, claimed.grant);
  for (const ContainerRecord& other : others) HULL_TRY(CheckFree(functions, other));
  if (!functions.empty()) HULL_TRY(devices::CheckLockedMemory(host, pinned_bytes));
  HULL_ASSIGN(claimed.record, containers.Change(record.id, [&](ContainerRecord& own) -> Status {
    own.passed = std::move(functions);
    return {};
  }));
  return claimed;
}

std::string GuestAddress(size_t index) {
  // The host bridge is device 0.
  return fmt::format("0000:00:{:02x}.0", index + 1);
}

std::vector<std::string> TakeReports(const agent::v1::CreateResponse& response,
                                     std::vector<PassedFunction>& functions) {
  std::vector<std::string> without_driver;
  for (PassedFunction& function : functions) {
    function.driver.clear();
    function.nodes.clear();
    function.interfaces.clear();
    const auto report = std::find_if(
        response.devices().begin(), response.devices().end(),
        [&](const agent::v1::DeviceReport& it) { return it.address() == function.guest_address; });
    if (report != response.devices().end()) {
      function.driver = Word(report->driver());
      for (int i = 0; i < std::min(report->nodes_size(), kMaxNames); ++i) {
        function.nodes.push_back(Word(report->nodes(i)));
      }
      for (int i = 0; i < std::min(report->interfaces_size(), kMaxNames); ++i) {
        function.interfaces.push_back(Word(report->interfaces(i)));
      }
    }
    if (!function.driver.empty()) continue;
    without_driver.push_back(
        fmt::format("device {} has no driver in the guest: the container finds it in "
                    "/sys/bus/pci/devices/{} alone; --annotation {}=NAME loads one out of the "
                    "image's /lib/modules",
                    function.address, function.guest_address, kModulesAnnotation));
  }
  return without_driver;
}

Result<std::string> ApplyGrant(const std::string& config, const devices::DeviceGrant& grant,
                               std::string_view container_id) {
  if (grant.environment.empty() && grant.mounts.empty()) return config;
  json::error_code error;
  json::value document = json::parse(config, error);
  if (error || !document.is_object()) return Fail(ErrorCode::kCorrupt, "config.json is damaged");
  json::object& object = document.get_object();
  json::object& process = ObjectIn(object, "process");
  for (const std::string& setting : grant.environment) {
    SetVariable(ArrayIn(process, "env"), setting);
  }
  AddMounts(grant.mounts, container_id, ArrayIn(object, "mounts"));
  return json::serialize(document);
}

}  // namespace hull
