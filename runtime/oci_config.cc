#include "runtime/oci_config.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "runtime/default_capabilities.h"
#include "runtime/seccomp_profile.h"

namespace hull {
namespace {

namespace json = boost::json;

constexpr std::string_view kDefaultPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr uint64_t kCpuPeriodUs = 100'000;
// As systemd and so current Docker have it: many programs walk all descriptors up to the soft
// limit.
constexpr uint64_t kSoftOpenFiles = 1024;
constexpr uint64_t kHardOpenFiles = 524'288;
constexpr size_t kShortIdLength = 12;

// What would tell a container about its host, or let it change the host. Docker's list.
constexpr std::string_view kMaskedPaths[] = {"/proc/acpi",
                                             "/proc/asound",
                                             "/proc/interrupts",
                                             "/proc/kcore",
                                             "/proc/keys",
                                             "/proc/latency_stats",
                                             "/proc/sched_debug",
                                             "/proc/scsi",
                                             "/proc/timer_list",
                                             "/proc/timer_stats",
                                             "/sys/devices/virtual/powercap",
                                             "/sys/firmware"};
constexpr std::string_view kReadOnlyPaths[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                               "/proc/sysrq-trigger"};

// No network namespace: a sandbox's guest has no network of its own, so the guest's is the
// container's (and later that of all containers of a pod). It saves making and destroying one at
// each start, and a virtual cable between two namespaces of the same guest.
constexpr std::string_view kNamespaces[] = {"mount", "uts", "pid", "ipc", "cgroup"};

struct Mount {
  std::string_view destination;
  std::string_view type;
  std::string_view source;
  std::span<const std::string_view> options;
};

constexpr std::string_view kKernelView[] = {"nosuid", "noexec", "nodev"};
constexpr std::string_view kReadOnlyKernelView[] = {"nosuid", "noexec", "nodev", "ro"};
constexpr std::string_view kDevOptions[] = {"nosuid", "strictatime", "mode=755", "size=65536k"};
constexpr std::string_view kPtsOptions[] = {"nosuid",        "noexec",    "newinstance",
                                            "ptmxmode=0666", "mode=0620", "gid=5"};
constexpr std::string_view kShmOptions[] = {"nosuid", "noexec", "nodev", "mode=1777",
                                            "size=65536k"};
constexpr Mount kMounts[] = {
    {"/proc", "proc", "proc", kKernelView},
    {"/dev", "tmpfs", "tmpfs", kDevOptions},
    {"/dev/pts", "devpts", "devpts", kPtsOptions},
    {"/sys", "sysfs", "sysfs", kReadOnlyKernelView},
    {"/sys/fs/cgroup", "cgroup", "cgroup", kReadOnlyKernelView},
    {"/dev/mqueue", "mqueue", "mqueue", kKernelView},
    {"/dev/shm", "tmpfs", "shm", kShmOptions},
};

struct DeviceRule {
  bool allow;
  uint32_t major;
  uint32_t minor;
};
// Memory devices and terminals; not FUSE (10:229).
constexpr DeviceRule kDeviceRules[] = {{true, 1, 5}, {true, 1, 3}, {true, 1, 9},    {true, 1, 8},
                                       {true, 5, 0}, {true, 5, 1}, {false, 10, 229}};

template <typename Range>
json::array StringArray(const Range& strings) {
  json::array array;
  array.reserve(std::size(strings));
  for (const auto& text : strings) array.emplace_back(json::string_view(text.data(), text.size()));
  return array;
}

std::string_view NameOf(std::string_view setting) {
  return setting.substr(0, setting.find('='));
}

void SetVariable(std::vector<std::string>& environment, std::string_view setting) {
  const std::string_view name = NameOf(setting);
  const auto found = std::find_if(environment.begin(), environment.end(),
                                  [&](const std::string& other) { return NameOf(other) == name; });
  if (name.size() == setting.size()) {  // no value: take it away
    if (found != environment.end()) environment.erase(found);
  } else if (found != environment.end()) {
    *found = std::string(setting);
  } else {
    environment.emplace_back(setting);
  }
}

json::object Capabilities() {
  json::array names;
  for (const Capability& capability : kDefaultCapabilities) {
    names.emplace_back(json::string_view(capability.name.data(), capability.name.size()));
  }
  json::object sets;
  sets["bounding"] = names;
  sets["effective"] = names;
  sets["permitted"] = std::move(names);
  return sets;
}

json::array Mounts() {
  json::array mounts;
  for (const Mount& mount : kMounts) {
    json::object& entry = mounts.emplace_back(json::object()).as_object();
    entry["destination"] = json::string_view(mount.destination.data(), mount.destination.size());
    entry["type"] = json::string_view(mount.type.data(), mount.type.size());
    entry["source"] = json::string_view(mount.source.data(), mount.source.size());
    entry["options"] = StringArray(mount.options);
  }
  return mounts;
}

json::object Resources(const ContainerOptions& options) {
  json::object resources;
  json::array devices;
  devices.emplace_back(json::object{{"allow", false}, {"access", "rwm"}});
  for (const DeviceRule& rule : kDeviceRules) {
    devices.emplace_back(json::object{{"allow", rule.allow},
                                      {"type", "c"},
                                      {"major", rule.major},
                                      {"minor", rule.minor},
                                      {"access", "rwm"}});
  }
  resources["devices"] = std::move(devices);
  if (options.memory_bytes) resources["memory"] = json::object{{"limit", *options.memory_bytes}};
  if (options.nano_cpus) {
    const uint64_t quota_us = *options.nano_cpus * kCpuPeriodUs / 1'000'000'000;
    resources["cpu"] = json::object{{"period", kCpuPeriodUs}, {"quota", quota_us}};
  }
  return resources;
}

json::object Linux(const ContainerOptions& options) {
  json::object section;
  json::array namespaces;
  for (const std::string_view type : kNamespaces) {
    namespaces.emplace_back(json::object{{"type", json::string_view(type.data(), type.size())}});
  }
  section["namespaces"] = std::move(namespaces);
  section["maskedPaths"] = StringArray(kMaskedPaths);
  section["readonlyPaths"] = StringArray(kReadOnlyPaths);
  section["resources"] = Resources(options);
  return section;
}

Status CheckWorkingDirectory(std::string_view directory) {
  if (directory.starts_with('/')) return {};
  return Fail(ErrorCode::kInvalidArgument,
              "the working directory '{}' is invalid, it needs to be an absolute path", directory);
}

}  // namespace

std::string HostnameOf(std::string_view container_id, const ContainerOptions& options) {
  if (!options.hostname.empty()) return options.hostname;
  return std::string(container_id.substr(0, kShortIdLength));
}

Result<std::vector<std::string>> CommandLine(const ImageProcess& image,
                                             const ContainerOptions& options) {
  std::vector<std::string> line;
  if (options.entrypoint) {
    // docker: an entry point of the user's own switches the image's command off; an empty one is
    // none.
    if (!options.entrypoint->empty()) line.push_back(*options.entrypoint);
  } else {
    line = image.entrypoint;
  }
  const bool use_image_command = options.command.empty() && !options.entrypoint;
  const std::vector<std::string>& rest = use_image_command ? image.command : options.command;
  line.insert(line.end(), rest.begin(), rest.end());
  if (line.empty()) {
    return Fail(Error(ErrorCode::kInvalidArgument, "no command specified")
                    .WithHint("the image names none: give one after the image's name"));
  }
  return line;
}

std::vector<std::string> Environment(const ImageProcess& image, const ContainerOptions& options,
                                     std::string_view hostname) {
  std::vector<std::string> environment{std::string(kDefaultPath),
                                       fmt::format("HOSTNAME={}", hostname)};
  if (options.terminal) environment.emplace_back("TERM=xterm");
  for (const std::string& setting : image.environment) SetVariable(environment, setting);
  for (const std::string& setting : options.environment) SetVariable(environment, setting);
  return environment;
}

Result<std::string> MakeOciConfig(std::string_view container_id, const ImageProcess& image,
                                  const ContainerOptions& options) {
  HULL_ASSIGN(const std::vector<std::string> arguments, CommandLine(image, options));
  const std::string directory = options.working_directory.value_or(
      image.working_directory.empty() ? "/" : image.working_directory);
  HULL_TRY(CheckWorkingDirectory(directory));
  const std::string hostname = HostnameOf(container_id, options);

  json::object process;
  process["terminal"] = options.terminal;
  process["user"] = json::object{{"uid", 0}, {"gid", 0}};
  process["args"] = StringArray(arguments);
  process["env"] = StringArray(Environment(image, options, hostname));
  process["cwd"] = directory;
  process["capabilities"] = Capabilities();
  process["rlimits"] = json::array{
      json::object{{"type", "RLIMIT_NOFILE"}, {"soft", kSoftOpenFiles}, {"hard", kHardOpenFiles}}};
  process["noNewPrivileges"] = false;
  process["oomScoreAdj"] = 0;

  json::object config;
  config["ociVersion"] = "1.0.2";
  config["process"] = std::move(process);
  config["root"] = json::object{{"path", "rootfs"}, {"readonly", options.read_only_root}};
  config["hostname"] = hostname;
  config["mounts"] = Mounts();
  config["linux"] = Linux(options);
  const std::string_view filter = seccomp::DefaultFilterBase64();
  config["annotations"] =
      json::object{{"run.oci.seccomp_bpf_data", json::string_view(filter.data(), filter.size())}};
  return json::serialize(config);
}

}  // namespace hull
