// What the user asked for (flags) and what the image brings, before they are put together.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/container_record.h"

namespace hull {

// The part of an image's configuration that says how its containers run.
struct ImageProcess {
  std::vector<std::string> entrypoint = {};
  std::vector<std::string> command = {};
  std::vector<std::string> environment = {};  // "NAME=value"
  std::string working_directory = {};
  std::string user = {};  // "name|uid[:group|gid]"
  std::string stop_signal = {};
  std::vector<std::string> labels = {};         // "name=value"
  std::vector<std::string> exposed_ports = {};  // "80/tcp"
  std::vector<std::string> volumes = {};        // destinations
};

// One of --ulimit. Values as setrlimit(2) takes them; -1: no limit.
struct ResourceLimit {
  std::string name = {};  // docker's, "nofile"
  int64_t soft = -1;
  int64_t hard = -1;

  bool operator==(const ResourceLimit&) const = default;
};

struct TmpfsMount {
  std::string destination = {};
  std::string options = {};  // "size=64m,mode=1777", as the user wrote them

  bool operator==(const TmpfsMount&) const = default;
};

enum class SeccompChoice { kDefault, kUnconfined, kProfile };

// How the container is walled in.
struct SecurityOptions {
  bool privileged = false;
  // As the user wrote them: "NET_ADMIN", "cap_net_admin", "ALL".
  std::vector<std::string> added_capabilities = {};
  std::vector<std::string> dropped_capabilities = {};
  bool no_new_privileges = false;
  SeccompChoice seccomp = SeccompChoice::kDefault;
  std::string seccomp_profile = {};  // kProfile: JSON text in docker's format
  // None of the kernel's files is hidden or read-only (systempaths=unconfined).
  bool system_paths_unconfined = false;
  // podman's mask= and unmask=: further paths to hide, and hidden or read-only ones to leave alone
  // ("ALL", or with shell patterns).
  std::vector<std::string> masked_paths = {};
  std::vector<std::string> unmasked_paths = {};
  std::vector<std::string> shown = {};  // --security-opt, for inspect

  bool operator==(const SecurityOptions&) const = default;
};

// Limits beyond CPUs and memory. Absent: none.
struct LimitOptions {
  std::optional<uint64_t> cpu_shares = {};
  std::optional<uint64_t> cpu_period_us = {};
  std::optional<int64_t> cpu_quota_us = {};
  std::string cpuset_cpus = {};  // "0-3,5"
  std::string cpuset_mems = {};
  std::optional<int64_t> memory_swap_bytes = {};  // with the memory; -1: as much as there is
  std::optional<int64_t> memory_swappiness = {};  // 0 to 100
  std::optional<uint64_t> memory_reservation_bytes = {};
  std::optional<int64_t> pids = {};  // -1: no limit
  std::optional<int64_t> oom_score_adjustment = {};
  std::optional<uint64_t> shm_bytes = {};
  std::vector<ResourceLimit> resources = {};  // one for each name, sorted

  bool operator==(const LimitOptions&) const = default;
};

enum class IpcMode { kPrivate, kNone };

using NameValue = std::pair<std::string, std::string>;

// Which of the process's streams the user wants on his terminal (-a); none named: output and
// errors, and with -i the input.
struct AttachedStreams {
  bool input = false;
  bool output = true;
  bool errors = true;

  bool operator==(const AttachedStreams&) const = default;
};

struct ContainerOptions {
  // Keep the container's standard input open (-i).
  bool interactive = false;
  // A terminal instead of three streams (-t).
  bool terminal = false;
  bool read_only_root = false;
  bool remove_at_exit = false;
  std::string name = {};      // empty: made from the id
  std::string hostname = {};  // empty: the first 12 characters of the id
  // "NAME=value", or "NAME" to take the variable away.
  std::vector<std::string> environment = {};
  std::optional<std::string> entrypoint = {};
  std::vector<std::string> command = {};
  std::optional<std::string> working_directory = {};
  std::optional<std::string> user = {};
  // Billionths of a CPU, as docker counts them; absent: no limit but the number of vCPUs.
  std::optional<uint64_t> nano_cpus = {};
  // CPUs that the virtual machine shows; absent: nano_cpus rounded up, or one.
  std::optional<uint64_t> virtual_cpus = {};
  // Limit for the container's memory; absent: what the VM has.
  std::optional<uint64_t> memory_bytes = {};
  std::string image = {};  // as the user named it
  AttachedStreams attach = {};
  std::string domainname = {};
  std::vector<std::string> additional_groups = {};
  std::vector<std::string> labels = {};  // "name=value", in the user's order
  std::vector<NameValue> annotations = {};
  std::vector<NameValue> sysctls = {};
  std::string stop_signal = {};  // empty: the image's, or SIGTERM
  std::optional<int64_t> stop_timeout_s = {};
  std::optional<bool> init = {};
  bool no_healthcheck = false;
  IpcMode ipc = IpcMode::kPrivate;
  std::vector<TmpfsMount> tmpfs = {};
  SecurityOptions security = {};
  DeviceOptions devices = {};
  LimitOptions limits = {};
  StorageOptions storage = {};
  LayerTransport layer_transport = LayerTransport::kAutomatic;
  LogOptions log = {};
  std::string log_driver = {};              // for inspect; empty: the default
  std::vector<NameValue> log_options = {};  // for inspect
  std::string cidfile = {};                 // for inspect
  // The guest's kernel talks.
  bool debug = false;
};

}  // namespace hull
