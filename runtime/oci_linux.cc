#include "runtime/oci_linux.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "guest-agent/protocol/agent_service.h"
#include "runtime/kernel_paths.h"
#include "runtime/oci_config.h"
#include "runtime/seccomp_document.h"
#include "runtime/seccomp_profile.h"
#include "runtime/tmpfs_options.h"

namespace hull {
namespace {

namespace json = boost::json;

constexpr uint64_t kCpuPeriodUs = 100'000;
constexpr uint64_t kDefaultShmBytes = 64ULL << 20;

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
constexpr std::string_view kAllDevOptions[] = {"nosuid"};
constexpr std::string_view kPtsOptions[] = {"nosuid",        "noexec",    "newinstance",
                                            "ptmxmode=0666", "mode=0620", "gid=5"};

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

json::object MountObject(std::string_view destination, std::string_view type,
                         std::string_view source, json::array options) {
  return {{"destination", destination},
          {"type", type},
          {"source", source},
          {"options", std::move(options)}};
}

// A privileged container sees the devices of its virtual machine, and may change what /sys shows.
void AddKernelMounts(bool is_privileged, json::array& mounts) {
  const std::span<const std::string_view> kernel_view =
      is_privileged ? std::span<const std::string_view>(kKernelView) : kReadOnlyKernelView;
  const std::span<const std::string_view> dev_options =
      is_privileged ? std::span<const std::string_view>(kAllDevOptions) : kDevOptions;
  const std::string_view dev = is_privileged ? "devtmpfs" : "tmpfs";
  const Mount table[] = {
      {"/proc", "proc", "proc", kKernelView},
      {"/dev", dev, dev, dev_options},
      {"/dev/pts", "devpts", "devpts", kPtsOptions},
      {"/sys", "sysfs", "sysfs", kernel_view},
      {"/sys/fs/cgroup", "cgroup", "cgroup", kernel_view},
      {"/dev/mqueue", "mqueue", "mqueue", kKernelView},
  };
  for (const Mount& mount : table) {
    mounts.push_back(
        MountObject(mount.destination, mount.type, mount.source, StringArray(mount.options)));
  }
}

json::array DeviceRules(const SecurityOptions& security) {
  json::array devices;
  devices.emplace_back(json::object{{"allow", security.privileged}, {"access", "rwm"}});
  if (security.privileged) return devices;
  for (const DeviceRule& rule : kDeviceRules) {
    devices.emplace_back(json::object{{"allow", rule.allow},
                                      {"type", "c"},
                                      {"major", rule.major},
                                      {"minor", rule.minor},
                                      {"access", "rwm"}});
  }
  return devices;
}

json::object CpuLimits(const ContainerOptions& options) {
  const LimitOptions& limits = options.limits;
  json::object cpu;
  if (options.nano_cpus) {
    const uint64_t quota_us = *options.nano_cpus * kCpuPeriodUs / 1'000'000'000;
    cpu["period"] = kCpuPeriodUs;
    cpu["quota"] = quota_us;
  }
  if (limits.cpu_period_us) cpu["period"] = *limits.cpu_period_us;
  if (limits.cpu_quota_us) cpu["quota"] = *limits.cpu_quota_us;
  if (limits.cpu_shares) cpu["shares"] = *limits.cpu_shares;
  if (!limits.cpuset_cpus.empty()) cpu["cpus"] = limits.cpuset_cpus;
  if (!limits.cpuset_mems.empty()) cpu["mems"] = limits.cpuset_mems;
  return cpu;
}

// Swap is left out: the virtual machine has none to limit.
json::object Resources(const ContainerOptions& options) {
  json::object resources;
  resources["devices"] = DeviceRules(options.security);
  json::object memory;
  if (options.memory_bytes) memory["limit"] = *options.memory_bytes;
  if (options.limits.memory_reservation_bytes) {
    memory["reservation"] = *options.limits.memory_reservation_bytes;
  }
  if (!memory.empty()) resources["memory"] = std::move(memory);
  json::object cpu = CpuLimits(options);
  if (!cpu.empty()) resources["cpu"] = std::move(cpu);
  if (options.limits.pids.value_or(-1) > 0) {
    resources["pids"] = json::object{{"limit", *options.limits.pids}};
  }
  return resources;
}

}  // namespace

json::object LinuxSection(const ContainerOptions& options) {
  json::object section;
  json::array namespaces;
  for (const std::string_view type : kNamespaces) {
    namespaces.emplace_back(json::object{{"type", json::string_view(type.data(), type.size())}});
  }
  section["namespaces"] = std::move(namespaces);
  section["maskedPaths"] = StringArray(MaskedPaths(options.security));
  section["readonlyPaths"] = StringArray(ReadOnlyPaths(options.security));
  section["resources"] = Resources(options);
  if (!options.sysctls.empty()) {
    json::object sysctls;
    for (const auto& [name, value] : options.sysctls) sysctls[name] = value;
    section["sysctl"] = std::move(sysctls);
  }
  return section;
}

Result<json::array> Mounts(const ContainerOptions& options) {
  json::array mounts;
  AddKernelMounts(options.security.privileged, mounts);
  if (options.ipc == IpcMode::kPrivate) {
    const uint64_t shm_bytes = options.limits.shm_bytes.value_or(kDefaultShmBytes);
    mounts.push_back(
        MountObject("/dev/shm", "tmpfs", "shm",
                    {"nosuid", "noexec", "nodev", "mode=1777",
                     json::string(fmt::format("size={}k", (shm_bytes + 1023) / 1024))}));
  }
  if (options.init.value_or(false)) {
    mounts.push_back(MountObject(kInitDestination, "bind", agent::kInitProgramPath,
                                 {"bind", "ro", "nosuid", "nodev"}));
  }
  for (const TmpfsMount& tmpfs : options.tmpfs) {
    HULL_ASSIGN(const std::vector<std::string> words, TmpfsMountOptions(tmpfs.options));
    // In the place of one of docker's own for the same directory.
    const auto same = std::find_if(mounts.begin(), mounts.end(), [&](const json::value& mount) {
      return mount.at("destination").as_string() == tmpfs.destination;
    });
    if (same != mounts.end()) mounts.erase(same);
    mounts.push_back(MountObject(tmpfs.destination, "tmpfs", "tmpfs", StringArray(words)));
  }
  return mounts;
}

Status AddSeccomp(const SecurityOptions& security, uint64_t capabilities, json::object& config) {
  if (security.seccomp == SeccompChoice::kProfile) {
    HULL_ASSIGN(json::object document, SeccompDocument(security.seccomp_profile, capabilities));
    if (!document.empty()) config["linux"].as_object()["seccomp"] = std::move(document);
    return {};
  }
  if (security.privileged || security.seccomp == SeccompChoice::kUnconfined) return {};
  json::object& annotations = config["annotations"].as_object();
  annotations["run.oci.seccomp_bpf_data"] = seccomp::FilterBase64(capabilities);
  return {};
}

}  // namespace hull
