#include "runtime/cli/container_inspect.h"

#include <array>

#include <boost/json/array.hpp>

#include "runtime/cli/container_rows.h"
#include "runtime/devices/host_tree.h"
#include "runtime/devices/pci_names.h"
#include "runtime/format/human.h"

namespace hull::cli {
namespace {

namespace json = boost::json;

json::object ShowState(const Containers& containers, const ContainerRecord& record) {
  const ContainerState& state = record.state;
  const bool runs =
      state.status == ContainerStatus::kRunning || state.status == ContainerStatus::kPaused;
  return {
      {"Status", ContainerStatusName(state.status)},
      {"Running", runs},
      {"Paused", state.status == ContainerStatus::kPaused},
      {"Restarting", false},
      {"OOMKilled", state.out_of_memory},
      {"Dead", false},
      {"Pid", PidOf(containers, record)},
      {"ExitCode", runs ? 0 : state.exit_code.value_or(0)},
      {"Error", state.error},
      {"StartedAt", format::Rfc3339(state.started_at_ns)},
      {"FinishedAt", format::Rfc3339(state.finished_at_ns)},
  };
}

json::array Strings(const std::vector<std::string>& texts) {
  return json::array(texts.begin(), texts.end());
}

json::array ShowDevices(const ContainerRecord& record) {
  json::array list;
  if (record.passed.empty()) return list;
  const auto names = devices::PciNames::Load(devices::HostTree::FromEnvironment());
  for (const PassedFunction& function : record.passed) {
    list.push_back(json::object{
        {"Address", function.address},
        {"VendorID", fmt::format("{:04x}", function.vendor)},
        {"DeviceID", fmt::format("{:04x}", function.device)},
        {"Vendor", names.Vendor(function.vendor)},
        {"Device", names.Device(function.vendor, function.device)},
        {"IommuGroup", function.iommu_group},
        {"GuestAddress", function.guest_address},
        {"GuestDriver", function.driver},
        {"Nodes", Strings(function.nodes)},
        {"Interfaces", Strings(function.interfaces)},
        {"IommuFaults", function.iommu_faults ? json::value(*function.iommu_faults) : nullptr},
    });
  }
  return list;
}

json::object ShowSandbox(const Containers& containers, const ContainerRecord& record) {
  constexpr std::array<std::string_view, 3> kTransports = {"auto", "pmem", "block"};
  const SandboxState sandbox = containers.Sandbox(record.id);
  const MachineOptions& machine = record.machine;
  // Until it has run once, what it will have.
  const bool has_devices = record.state.starts == 0 ? record.devices.Any() : !record.passed.empty();
  const uint64_t pool_bytes = record.devices.dma_pool_bytes;
  const uint64_t reached_bytes = pool_bytes != 0 ? pool_bytes : machine.memory_bytes;
  json::array layers;
  for (const std::string& file : machine.layer_files)
    layers.emplace_back(containers.LayerPath(file));
  return {
      {"Cpus", machine.cpus},
      {"MemoryBytes", machine.memory_bytes},
      {"SupervisorPid", sandbox.supervisor ? sandbox.supervisor->pid : 0},
      {"VmmPid", sandbox.vmm ? sandbox.vmm->pid : 0},
      {"ContainerDirectory", containers.Directory(record.id)},
      {"RunDirectory", containers.RunDirectoryPath(record.id)},
      {"ConsolePath", containers.ConsolePath(record.id)},
      {"ScratchPath", containers.ScratchPath(record.id)},
      {"Storage", machine.storage.kind == StorageKind::kDisk ? "disk" : "tmpfs"},
      {"StorageBytes", machine.storage.size_bytes},
      {"LayerTransport", kTransports[static_cast<size_t>(machine.layer_transport)]},
      {"Layers", std::move(layers)},
      {"Starts", record.state.starts},
      {"Kernel", has_devices ? containers.layout().pci_kernel : containers.layout().kernel},
      {"Devices", ShowDevices(record)},
      {"MemoryPinned", has_devices},
      {"MemoryPinnedBytes", has_devices ? reached_bytes : 0},
      // Pages that a device may write to cannot be given back.
      {"FreePageReporting", !has_devices || pool_bytes != 0},
      {"Modules", Strings(record.devices.modules)},
  };
}

json::value Part(const ContainerRecord& record, std::string_view name) {
  const json::value* const part = record.shown.if_contains(name);
  return part == nullptr ? json::value(json::object()) : *part;
}

}  // namespace

json::object InspectContainer(const Containers& containers, const ContainerRecord& record,
                              bool with_size) {
  json::array arguments;
  for (size_t i = 1; i < record.process.command.size(); ++i) {
    arguments.emplace_back(record.process.command[i]);
  }
  json::object object{
      {"Id", record.id},
      {"Created", format::Rfc3339(record.created_at_ns)},
      {"Path", record.process.command.empty() ? "" : record.process.command.front()},
      {"Args", std::move(arguments)},
      {"State", ShowState(containers, record)},
      {"Image", record.image_id},
      {"ResolvConfPath", ""},
      {"HostnamePath", ""},
      {"HostsPath", ""},
      {"LogPath", record.log.disabled ? "" : containers.LogPath(record.id)},
      {"Name", "/" + record.name},
      {"RestartCount", 0},
      {"Driver", "erofs"},
      {"Platform", "linux"},
      {"MountLabel", ""},
      {"ProcessLabel", ""},
      {"AppArmorProfile", ""},
      {"ExecIDs", nullptr},
      {"HostConfig", Part(record, "HostConfig")},
      {"GraphDriver", {{"Data", json::object()}, {"Name", "erofs"}}},
  };
  if (with_size) {
    const ContainerSize size = MeasureContainer(containers, record);
    object["SizeRw"] = size.own_bytes;
    object["SizeRootFs"] = size.own_bytes + size.image_bytes;
  }
  object["Mounts"] = json::array();
  object["Config"] = Part(record, "Config");
  object["NetworkSettings"] = {{"Ports", json::object()},
                               {"Networks", json::object()},
                               {"IPAddress", ""},
                               {"Gateway", ""},
                               {"MacAddress", ""}};
  object["Hull"] = ShowSandbox(containers, record);
  return object;
}

}  // namespace hull::cli
