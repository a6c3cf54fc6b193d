#include "runtime/shown_options.h"

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "runtime/capabilities.h"
#include "runtime/devices/gpu_request.h"
#include "runtime/kernel_paths.h"
#include "runtime/oci_config.h"
#include "runtime/resource_limit.h"

namespace hull {
namespace {

namespace json = boost::json;

// Go shows an empty slice of no elements as null.
template <typename Range>
json::value ListOrNull(const Range& strings) {
  if (strings.empty()) return nullptr;
  return json::array(strings.begin(), strings.end());
}

json::object MapOf(const std::vector<NameValue>& pairs) {
  json::object map;
  for (const auto& [name, value] : pairs) map[name] = value;
  return map;
}

json::object SetOf(const std::vector<std::string>& names) {
  json::object set;
  for (const std::string& name : names) set[name] = json::object();
  return set;
}

// The user's, then what only the image has; docker's order.
std::vector<std::string> ShownEnvironment(const ImageProcess& image,
                                          const ContainerOptions& options) {
  std::vector<std::string> environment = options.environment;
  const auto name_of = [](std::string_view setting) {
    return setting.substr(0, setting.find('='));
  };
  for (const std::string& setting : image.environment) {
    const bool is_set =
        std::any_of(options.environment.begin(), options.environment.end(),
                    [&](const std::string& other) { return name_of(other) == name_of(setting); });
    if (!is_set) environment.push_back(setting);
  }
  return environment;
}

json::object ShowConfig(std::string_view container_id, const ImageProcess& image,
                        const ContainerOptions& options, const std::vector<std::string>& labels) {
  json::object config;
  config["Hostname"] = HostnameOf(container_id, options);
  config["Domainname"] = options.domainname;
  config["User"] = options.user.value_or(image.user);
  config["AttachStdin"] = options.attach.input;
  config["AttachStdout"] = options.attach.output;
  config["AttachStderr"] = options.attach.errors;
  if (!image.exposed_ports.empty()) config["ExposedPorts"] = SetOf(image.exposed_ports);
  config["Tty"] = options.terminal;
  config["OpenStdin"] = options.interactive;
  config["StdinOnce"] = options.interactive && options.attach.input;
  config["Env"] = ListOrNull(ShownEnvironment(image, options));
  const bool own_command = options.entrypoint || !options.command.empty();
  config["Cmd"] = ListOrNull(own_command ? options.command : image.command);
  if (options.no_healthcheck) config["Healthcheck"] = json::object{{"Test", json::array{"NONE"}}};
  config["Image"] = options.image;
  config["Volumes"] = image.volumes.empty() ? json::value(nullptr) : SetOf(image.volumes);
  config["WorkingDir"] = options.working_directory.value_or(image.working_directory);
  if (options.entrypoint) {
    config["Entrypoint"] = json::array{*options.entrypoint};
  } else {
    config["Entrypoint"] = ListOrNull(image.entrypoint);
  }
  config["OnBuild"] = nullptr;
  json::object map;
  for (const std::string& label : labels) {
    const size_t equals = label.find('=');
    map[label.substr(0, equals)] = equals == std::string::npos ? "" : label.substr(equals + 1);
  }
  config["Labels"] = std::move(map);
  const std::string& signal = options.stop_signal.empty() ? image.stop_signal : options.stop_signal;
  if (!signal.empty()) config["StopSignal"] = signal;
  if (options.stop_timeout_s) config["StopTimeout"] = *options.stop_timeout_s;
  return config;
}

void ShowLimits(const ContainerOptions& options, json::object& host) {
  const LimitOptions& limits = options.limits;
  constexpr uint64_t kDefaultShmBytes = 64ULL << 20;
  host["CpuShares"] = limits.cpu_shares.value_or(0);
  host["Memory"] = options.memory_bytes.value_or(0);
  host["NanoCpus"] = options.nano_cpus.value_or(0);
  host["CpuPeriod"] = limits.cpu_period_us.value_or(0);
  host["CpuQuota"] = limits.cpu_quota_us.value_or(0);
  host["CpusetCpus"] = limits.cpuset_cpus;
  host["CpusetMems"] = limits.cpuset_mems;
  host["MemoryReservation"] = limits.memory_reservation_bytes.value_or(0);
  // docker's default: as much swap again.
  const auto memory = static_cast<int64_t>(options.memory_bytes.value_or(0));
  host["MemorySwap"] = limits.memory_swap_bytes.value_or(2 * memory);
  host["MemorySwappiness"] = nullptr;
  host["OomKillDisable"] = nullptr;
  host["OomScoreAdj"] = limits.oom_score_adjustment.value_or(0);
  if (limits.pids.value_or(-1) > 0) {
    host["PidsLimit"] = *limits.pids;
  } else {
    host["PidsLimit"] = nullptr;
  }
  host["ShmSize"] = limits.shm_bytes.value_or(kDefaultShmBytes);
  json::array ulimits;
  for (const ResourceLimit& limit : limits.resources) {
    ulimits.push_back(
        json::object{{"Name", limit.name}, {"Hard", limit.hard}, {"Soft", limit.soft}});
  }
  host["Ulimits"] = std::move(ulimits);
}

void ShowSecurity(const ContainerOptions& options, json::object& host) {
  const SecurityOptions& security = options.security;
  const Result<std::vector<std::string>> added = NormalizeCapabilities(security.added_capabilities);
  const Result<std::vector<std::string>> dropped =
      NormalizeCapabilities(security.dropped_capabilities);
  host["CapAdd"] = ListOrNull(added ? *added : security.added_capabilities);
  host["CapDrop"] = ListOrNull(dropped ? *dropped : security.dropped_capabilities);
  host["Privileged"] = security.privileged;
  host["ReadonlyRootfs"] = options.read_only_root;
  host["SecurityOpt"] = ListOrNull(security.shown);
  const std::vector<std::string> masked = MaskedPaths(security);
  const std::vector<std::string> read_only = ReadOnlyPaths(security);
  host["MaskedPaths"] = json::array(masked.begin(), masked.end());
  host["ReadonlyPaths"] = json::array(read_only.begin(), read_only.end());
}

// A CDI name is, for docker, a device request; what hull alone has is shown as a device of its own.
void ShowDevices(const DeviceOptions& options, json::object& host) {
  json::array paths;
  json::array requests;
  std::vector<std::string> cdi_names;
  for (const std::string& text : options.devices) {
    constexpr std::string_view kVfio = "vfio=";
    const bool is_node = text.starts_with(kVfio);
    if (!is_node && !text.starts_with("pci=") && text.find('=') != std::string::npos) {
      cdi_names.push_back(text);
      continue;
    }
    const std::string path = is_node ? text.substr(kVfio.size()) : text;
    paths.push_back(json::object{
        {"PathOnHost", path}, {"PathInContainer", path}, {"CgroupPermissions", "rwm"}});
  }
  if (!cdi_names.empty()) {
    requests.push_back(json::object{{"Driver", "cdi"},
                                    {"Count", 0},
                                    {"DeviceIDs", ListOrNull(cdi_names)},
                                    {"Capabilities", nullptr},
                                    {"Options", json::object()}});
  }
  for (const std::string& text : options.gpus) {
    const Result<devices::GpuRequest> gpus = devices::ParseGpuRequest(text);
    if (!gpus) continue;
    const int64_t count = gpus->all ? -1 : int64_t{gpus->count.value_or(0)};
    requests.push_back(json::object{{"Driver", ""},
                                    {"Count", count},
                                    {"DeviceIDs", ListOrNull(gpus->devices)},
                                    {"Capabilities", json::array{json::array{"gpu"}}},
                                    {"Options", json::object()}});
  }
  host["Devices"] = std::move(paths);
  host["DeviceCgroupRules"] = nullptr;
  host["DeviceRequests"] = requests.empty() ? json::value(nullptr) : json::value(requests);
}

json::object ShowHostConfig(const ContainerOptions& options) {
  json::object host;
  host["Binds"] = nullptr;
  host["ContainerIDFile"] = options.cidfile;
  json::object log_options = MapOf(options.log_options);
  host["LogConfig"] =
      json::object{{"Type", options.log_driver.empty() ? "json-file" : options.log_driver},
                   {"Config", std::move(log_options)}};
  host["NetworkMode"] = "none";
  host["PortBindings"] = json::object();
  host["RestartPolicy"] = json::object{{"Name", "no"}, {"MaximumRetryCount", 0}};
  host["AutoRemove"] = options.remove_at_exit;
  host["CgroupnsMode"] = "private";
  host["GroupAdd"] = ListOrNull(options.additional_groups);
  host["IpcMode"] = options.ipc == IpcMode::kNone ? "none" : "private";
  host["PidMode"] = "";
  host["UTSMode"] = "";
  host["UsernsMode"] = "";
  host["Runtime"] = "hull";
  host["Isolation"] = "";
  ShowLimits(options, host);
  ShowSecurity(options, host);
  ShowDevices(options.devices, host);
  if (options.init) host["Init"] = *options.init;
  if (!options.sysctls.empty()) host["Sysctls"] = MapOf(options.sysctls);
  if (!options.annotations.empty()) host["Annotations"] = MapOf(options.annotations);
  if (!options.tmpfs.empty()) {
    json::object tmpfs;
    for (const TmpfsMount& mount : options.tmpfs) tmpfs[mount.destination] = mount.options;
    host["Tmpfs"] = std::move(tmpfs);
  }
  return host;
}

}  // namespace

json::object ShowOptions(std::string_view container_id, const ImageProcess& image,
                         const ContainerOptions& options, const std::vector<std::string>& labels) {
  json::object shown;
  shown["Config"] = ShowConfig(container_id, image, options, labels);
  shown["HostConfig"] = ShowHostConfig(options);
  return shown;
}

}  // namespace hull
