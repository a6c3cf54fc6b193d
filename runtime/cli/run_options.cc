#include "runtime/cli/run_options.h"

#include <algorithm>

#include "runtime/cli/device_flags.h"
#include "runtime/cli/flag_reader.h"
#include "runtime/cli/log_options.h"
#include "runtime/cli/run_flags.h"
#include "runtime/cli/units.h"
#include "runtime/cli/variables.h"
#include "runtime/container_id.h"
#include "runtime/limit_checks.h"
#include "runtime/resource_limit.h"
#include "runtime/scratch_disk.h"
#include "runtime/security_options.h"
#include "runtime/tmpfs_options.h"
#include "runtime/utf8.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

constexpr uint64_t kNanoPerCpu = 1'000'000'000;

// Whether one of the words can be meant for this flag; words of the container's too, which does no
// harm.
bool IsMentioned(const RunFlagSpec& spec, const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    if (word.size() < 2 || word[0] != '-') return false;
    std::string_view names = spec.names;
    while (!names.empty()) {
      const size_t comma = names.find(',');
      const std::string_view name = names.substr(0, comma);
      names = comma == std::string_view::npos ? std::string_view() : names.substr(comma + 1);
      const bool is_long = word[1] == '-';
      if (is_long ? word.substr(0, word.find('=')) == name
                  : name[1] != '-' && word.find(name[1], 1) != std::string::npos) {
        return true;
      }
    }
    return false;
  });
}

const CLI::Option* Declare(CLI::App& app, const RunFlagSpec& spec) {
  const std::string names(spec.names);
  const std::string description(spec.description);
  CLI::Option* option = nullptr;
  if (spec.kind == RunFlagKind::kSwitch) {
    option = app.add_flag(names, description)->take_last();
  } else {
    option = app.add_option(names, CLI::callback_t(), description);
    option->type_name(std::string(spec.type));
    if (spec.kind == RunFlagKind::kList) {
      option->expected(1, CLI::detail::expected_max_vector_size)
          ->allow_extra_args(false)
          ->take_all();
    } else {
      option->take_last();
    }
  }
  if (spec.description.empty()) option->group("");
  return option;
}

Result<StorageOptions> ParseStorage(std::string_view text) {
  StorageOptions storage;
  if (text.empty()) return storage;
  const size_t equals = text.find('=');
  const std::string_view kind = text.substr(0, equals);
  if (kind == "tmpfs") {
    storage.kind = StorageKind::kTmpfs;
  } else if (kind != "disk") {
    return Fail(ErrorCode::kInvalidArgument, "--storage: '{}' is neither disk nor tmpfs",
                EscapeControl(kind));
  }
  if (equals == std::string_view::npos) return storage;
  HULL_ASSIGN_WITHIN("--storage", storage.size_bytes, ParseBytes(text.substr(equals + 1)));
  if (storage.size_bytes < kMinScratchBytes) {
    return Fail(ErrorCode::kInvalidArgument, "--storage: at least {} MiB", kMinScratchBytes >> 20U);
  }
  return storage;
}

Result<LayerTransport> ParseLayers(std::string_view text) {
  if (text.empty() || text == "auto") return LayerTransport::kAutomatic;
  if (text == "pmem") return LayerTransport::kPmem;
  if (text == "block") return LayerTransport::kBlock;
  return Fail(ErrorCode::kInvalidArgument, "--layers: '{}' is none of auto, pmem and block",
              EscapeControl(text));
}

Status ReadStorage(const FlagReader& reader, ContainerOptions& container) {
  HULL_ASSIGN(container.storage, ParseStorage(reader.Text(RunFlag::kStorage)));
  HULL_ASSIGN(container.layer_transport, ParseLayers(reader.Text(RunFlag::kLayers)));
  for (const std::string& option : reader.List(RunFlag::kStorageOpt)) {
    const size_t equals = option.find('=');
    if (equals == std::string::npos) {
      return Fail(ErrorCode::kInvalidArgument, "invalid storage option");
    }
    if (option.substr(0, equals) != "size") {
      return Fail(ErrorCode::kUnsupported, "--storage-opt {}: hull knows size alone",
                  EscapeControl(option));
    }
    HULL_ASSIGN(container.storage, ParseStorage("disk=" + option.substr(equals + 1)));
  }
  return {};
}

Result<PullPolicy> ParsePull(std::string_view text) {
  if (text.empty() || text == "missing") return PullPolicy::kMissing;
  if (text == "always") return PullPolicy::kAlways;
  if (text == "never") return PullPolicy::kNever;
  return Fail(ErrorCode::kInvalidArgument,
              "invalid pull option: '{}': must be one of \"always\", \"missing\" or \"never\"",
              EscapeControl(text));
}

// "os[/architecture[/variant]]".
Status CheckPlatform(std::string_view platform) {
  const bool is_good =
      std::count(platform.begin(), platform.end(), '/') <= 2 &&
      platform.find("//") == std::string_view::npos && !platform.starts_with('/') &&
      !platform.ends_with('/') &&
      std::all_of(platform.begin(), platform.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 ||
               std::string_view("/_.-").find(static_cast<char>(c)) != std::string_view::npos;
      });
  if (is_good) return {};
  return Fail(ErrorCode::kInvalidArgument,
              "error parsing specified platform: \"{}\": cannot parse platform specifier: invalid "
              "argument",
              EscapeControl(platform));
}

Result<bool> IsOn(const FlagReader& reader, RunFlag flag, bool otherwise = false) {
  HULL_ASSIGN(const std::optional<bool> is_on, reader.Switch(flag));
  return is_on.value_or(otherwise);
}

Status ReadSwitches(const FlagReader& reader, RunRequest& request) {
  ContainerOptions& container = request.container;
  HULL_ASSIGN(container.interactive, IsOn(reader, RunFlag::kInteractive));
  HULL_ASSIGN(container.terminal, IsOn(reader, RunFlag::kTty));
  HULL_ASSIGN(container.read_only_root, IsOn(reader, RunFlag::kReadOnly));
  HULL_ASSIGN(container.remove_at_exit, IsOn(reader, RunFlag::kRm));
  HULL_ASSIGN(container.security.privileged, IsOn(reader, RunFlag::kPrivileged));
  HULL_ASSIGN(container.no_healthcheck, IsOn(reader, RunFlag::kNoHealthcheck));
  HULL_ASSIGN(container.init, reader.Switch(RunFlag::kInit));
  HULL_ASSIGN(container.debug, IsOn(reader, RunFlag::kDebug));
  HULL_ASSIGN(request.quiet, IsOn(reader, RunFlag::kQuiet));
  HULL_ASSIGN(request.detach, IsOn(reader, RunFlag::kDetach));
  HULL_ASSIGN(request.signal_proxy, IsOn(reader, RunFlag::kSigProxy, true));
  return {};
}

// Namespaces: what is so anyway, and what cannot be in a virtual machine of its own.
Status ReadNamespaces(const FlagReader& reader, ContainerOptions& container) {
  constexpr std::string_view kAlone = "a container is alone in its virtual machine";
  const std::string ipc = reader.Text(RunFlag::kIpc);
  if (ipc == "none") container.ipc = IpcMode::kNone;
  if (ipc == "host" || ipc == "shareable" || ipc.starts_with("container:")) {
    return Fail(ErrorCode::kUnsupported, "--ipc {}: {}", EscapeControl(ipc), kAlone);
  }
  if (!ipc.empty() && ipc != "none" && ipc != "private") {
    return Fail(ErrorCode::kInvalidArgument, "invalid IPC mode: {}", EscapeControl(ipc));
  }
  struct Mode {
    RunFlag flag;
    std::string_view name;
    std::string_view title;
    std::string_view accepted;  // beside the empty one
  };
  constexpr Mode kModes[] = {{RunFlag::kPid, "--pid", "PID", "private"},
                             {RunFlag::kUts, "--uts", "UTS", "private"},
                             {RunFlag::kUserns, "--userns", "USER", "host"},
                             {RunFlag::kCgroupns, "--cgroupns", "CGROUP", "private"}};
  for (const Mode& mode : kModes) {
    const std::string value = reader.Text(mode.flag);
    if (value.empty() || value == mode.accepted) continue;
    if (value == "host" || (mode.flag == RunFlag::kPid && value.starts_with("container:"))) {
      return Fail(ErrorCode::kUnsupported, "{} {}: {}", mode.name, EscapeControl(value), kAlone);
    }
    return Fail(ErrorCode::kInvalidArgument, "{}: invalid {} mode", mode.name, mode.title);
  }
  const std::string network = reader.Text(RunFlag::kNetwork);
  if (!network.empty() && network != "none") {
    return Fail(ErrorCode::kUnsupported, "--network {}: hull has no networks yet, only none",
                EscapeControl(network));
  }
  return {};
}

Status ReadRestart(const FlagReader& reader, const ContainerOptions& container) {
  const std::string policy = reader.Text(RunFlag::kRestart);
  if (policy.empty() || policy == "no") return {};
  const size_t colon = policy.find(':');
  const std::string name = policy.substr(0, colon);
  if (colon != std::string::npos &&
      (colon + 1 == policy.size() ||
       policy.find_first_not_of("0123456789", colon + 1) != std::string::npos)) {
    return Fail(ErrorCode::kInvalidArgument,
                "invalid restart policy format: maximum retry count must be an integer");
  }
  if (name != "always" && name != "unless-stopped" && name != "on-failure") {
    return Fail(ErrorCode::kInvalidArgument,
                "invalid restart policy: unknown policy '{}'; use one of 'no', 'always', "
                "'on-failure', or 'unless-stopped'",
                EscapeControl(name));
  }
  if (container.remove_at_exit) {
    return Fail(ErrorCode::kInvalidArgument,
                "conflicting options: cannot specify both --restart and --rm");
  }
  return Fail(ErrorCode::kUnsupported, "--restart {}: hull has no daemon that would start it again",
              EscapeControl(policy));
}

Status ReadNames(const FlagReader& reader, ContainerOptions& container) {
  container.name = WithoutSlash(reader.Text(RunFlag::kName));
  if (!container.name.empty()) HULL_TRY(CheckContainerName(container.name));
  container.hostname = reader.Text(RunFlag::kHostname);
  if (!container.hostname.empty()) HULL_TRY(CheckHostname(container.hostname));
  container.domainname = reader.Text(RunFlag::kDomainname);
  if (!container.domainname.empty() && !CheckHostname(container.domainname)) {
    return Fail(ErrorCode::kInvalidArgument, "invalid domain name: {}",
                EscapeControl(container.domainname));
  }
  container.entrypoint = reader.Value(RunFlag::kEntrypoint);
  if (container.entrypoint) container.entrypoint = ReplaceNonUtf8(*container.entrypoint);
  const std::string directory = ReplaceNonUtf8(reader.Text(RunFlag::kWorkdir));
  if (!directory.empty()) container.working_directory = directory;
  const std::string user = ReplaceNonUtf8(reader.Text(RunFlag::kUser));
  if (!user.empty()) container.user = user;
  container.additional_groups = reader.List(RunFlag::kGroupAdd);
  container.stop_signal = reader.Text(RunFlag::kStopSignal);
  HULL_ASSIGN(container.stop_timeout_s, reader.Integer(RunFlag::kStopTimeout));
  return {};
}

Result<uint64_t> ReadCpus(const FlagReader& reader, RunFlag flag) {
  const std::string text = reader.Text(flag);
  Result<uint64_t> nano = ParseNanoCpus(text);
  if (!nano) return Fail(reader.Wrong(flag, text, nano.error().message()));
  return nano;
}

// docker: of most numbers, 0 is "no limit".
template <typename To, typename From>
std::optional<To> NonZero(const std::optional<From>& number) {
  if (!number || *number == 0) return std::nullopt;
  return static_cast<To>(*number);
}

Result<std::optional<uint64_t>> Positive(const FlagReader& reader, RunFlag flag) {
  HULL_ASSIGN(const std::optional<int64_t> number, reader.Integer(flag));
  if (number && *number < 0) {
    return Fail(reader.Wrong(flag, reader.Text(flag), "it cannot be negative"));
  }
  return NonZero<uint64_t>(number);
}

Status ReadCpuLimits(const FlagReader& reader, ContainerOptions& container) {
  LimitOptions& limits = container.limits;
  if (reader.Value(RunFlag::kCpus)) {
    HULL_ASSIGN(const uint64_t nano, ReadCpus(reader, RunFlag::kCpus));
    if (nano != 0) container.nano_cpus = nano;
  }
  if (reader.Value(RunFlag::kVirtualCpus)) {
    HULL_ASSIGN(const uint64_t nano, ReadCpus(reader, RunFlag::kVirtualCpus));
    if (nano % kNanoPerCpu != 0) {
      return Fail(reader.Wrong(RunFlag::kVirtualCpus, reader.Text(RunFlag::kVirtualCpus),
                               "not a whole number"));
    }
    container.virtual_cpus = nano / kNanoPerCpu;
  }
  HULL_ASSIGN(limits.cpu_shares, Positive(reader, RunFlag::kCpuShares));
  HULL_ASSIGN(limits.cpu_period_us, Positive(reader, RunFlag::kCpuPeriod));
  HULL_ASSIGN(const std::optional<int64_t> quota, reader.Integer(RunFlag::kCpuQuota));
  limits.cpu_quota_us = NonZero<int64_t>(quota);
  limits.cpuset_cpus = reader.Text(RunFlag::kCpusetCpus);
  limits.cpuset_mems = reader.Text(RunFlag::kCpusetMems);
  return {};
}

Status ReadMemoryLimits(const FlagReader& reader, ContainerOptions& container) {
  LimitOptions& limits = container.limits;
  HULL_ASSIGN(const std::optional<uint64_t> memory, reader.Size(RunFlag::kMemory));
  container.memory_bytes = NonZero<uint64_t>(memory);
  HULL_ASSIGN(const std::optional<uint64_t> reservation, reader.Size(RunFlag::kMemoryReservation));
  limits.memory_reservation_bytes = NonZero<uint64_t>(reservation);
  if (reader.Text(RunFlag::kMemorySwap) == "-1") {
    limits.memory_swap_bytes = -1;
  } else {
    HULL_ASSIGN(const std::optional<uint64_t> swap, reader.Size(RunFlag::kMemorySwap));
    limits.memory_swap_bytes = NonZero<int64_t>(swap);
  }
  HULL_ASSIGN(const std::optional<int64_t> swappiness, reader.Integer(RunFlag::kMemorySwappiness));
  if (swappiness && *swappiness != -1) {
    if (*swappiness < 0 || *swappiness > 100) {
      return Fail(ErrorCode::kInvalidArgument,
                  "invalid value: {}. Valid memory swappiness range is 0-100", *swappiness);
    }
    limits.memory_swappiness = swappiness;
  }
  HULL_ASSIGN(const std::optional<uint64_t> shm, reader.Size(RunFlag::kShmSize));
  limits.shm_bytes = NonZero<uint64_t>(shm);
  HULL_ASSIGN(const std::optional<int64_t> score, reader.Integer(RunFlag::kOomScoreAdj));
  limits.oom_score_adjustment = NonZero<int64_t>(score);
  HULL_ASSIGN(const std::optional<int64_t> pids, reader.Integer(RunFlag::kPidsLimit));
  limits.pids = NonZero<int64_t>(pids);
  return {};
}

Status ReadResourceLimits(const FlagReader& reader, ContainerOptions& container) {
  for (const std::string& text : reader.List(RunFlag::kUlimit)) {
    Result<ResourceLimit> limit = ParseResourceLimit(text);
    if (!limit) return Fail(reader.Wrong(RunFlag::kUlimit, text, limit.error().message()));
    SetResourceLimit(container.limits.resources, std::move(*limit));
  }
  for (const std::string& text : reader.List(RunFlag::kSysctl)) {
    const size_t equals = text.find('=');
    // sysctl(8) takes slashes for dots; a path is not to come of it.
    if (equals == std::string::npos || !IsSysctlAllowed(text.substr(0, equals)) ||
        text.substr(0, equals).find("..") != std::string::npos) {
      return Fail(reader.Wrong(RunFlag::kSysctl, text,
                               fmt::format("sysctl '{}' is not allowed", EscapeControl(text))));
    }
    SetNameValue(container.sysctls, text);
  }
  return {};
}

Status ReadSecurity(const FlagReader& reader, ContainerOptions& container) {
  container.security.added_capabilities = reader.List(RunFlag::kCapAdd);
  container.security.dropped_capabilities = reader.List(RunFlag::kCapDrop);
  return ApplySecurityOptions(
      reader.List(RunFlag::kSecurityOpt),
      [](const std::string& path) { return ReadFile(path, kMaxSeccompProfileBytes); },
      container.security);
}

Status ReadAttach(const FlagReader& reader, RunRequest& request) {
  AttachedStreams& attach = request.container.attach;
  const std::vector<std::string> streams = reader.List(RunFlag::kAttach);
  if (!streams.empty()) attach = {.input = false, .output = false, .errors = false};
  for (const std::string& stream : streams) {
    std::string lower = stream;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (lower == "stdin") {
      attach.input = true;
    } else if (lower == "stdout") {
      attach.output = true;
    } else if (lower == "stderr") {
      attach.errors = true;
    } else {
      return Fail(
          reader.Wrong(RunFlag::kAttach, stream, "valid streams are STDIN, STDOUT and STDERR"));
    }
  }
  if (request.container.interactive) attach.input = true;
  if (!request.detach) return {};
  if (!streams.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "conflicting options: cannot specify both --attach and --detach");
  }
  attach = {.input = false, .output = false, .errors = false};
  return {};
}

}  // namespace

void DeclareRunFlags(CLI::App& app, RunFlags& flags, RunVerb verb,
                     const std::vector<std::string>* arguments) {
  flags.verb = verb;
  const std::span<const RunFlagSpec> table = RunFlagTable();
  flags.options.assign(table.size(), nullptr);
  for (size_t row = 0; row < table.size(); ++row) {
    if (table[row].run_only && verb != RunVerb::kRun) continue;
    if (arguments != nullptr && !IsMentioned(table[row], *arguments)) continue;
    flags.options[row] = Declare(app, table[row]);
  }
}

Result<RunRequest> InterpretRunFlags(const RunFlags& flags, const std::vector<std::string>& rest,
                                     const HostVariable& host_variable) {
  if (rest.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "'hull {}' requires at least 1 argument",
                flags.verb == RunVerb::kRun ? "run" : "create");
  }
  const FlagReader reader(flags);
  RunRequest request;
  ContainerOptions& container = request.container;
  request.image = rest.front();
  container.image = rest.front();
  // Both go into JSON documents.
  for (size_t i = 1; i < rest.size(); ++i) container.command.push_back(ReplaceNonUtf8(rest[i]));
  HULL_TRY(reader.RefuseOthers());
  HULL_TRY(ReadSwitches(reader, request));
  HULL_TRY(ReadAttach(reader, request));
  HULL_TRY(ReadNames(reader, container));
  HULL_TRY(ReadCpuLimits(reader, container));
  HULL_TRY(ReadMemoryLimits(reader, container));
  HULL_TRY(ReadResourceLimits(reader, container));
  for (const std::string& text : reader.List(RunFlag::kTmpfs)) {
    HULL_TRY(AddTmpfs(text, container.tmpfs));
  }
  for (const std::string& text : reader.List(RunFlag::kAnnotation)) {
    if (text.empty() || text.starts_with('=')) {
      return Fail(ErrorCode::kInvalidArgument,
                  "invalid Annotation: the empty string is not permitted as an annotation key");
    }
    SetNameValue(container.annotations, text);
  }
  HULL_TRY(ReadDeviceFlags(reader, devices::HostTree::FromEnvironment(), container));
  HULL_ASSIGN(container.environment, ReadEnvironment(reader, host_variable));
  for (std::string& setting : container.environment) setting = ReplaceNonUtf8(setting);
  HULL_ASSIGN(container.labels, ReadLabels(reader));
  HULL_TRY(ReadNamespaces(reader, container));
  HULL_TRY(ReadRestart(reader, container));
  HULL_TRY(ReadLogOptions(reader, container));
  HULL_TRY(ReadSecurity(reader, container));
  HULL_TRY(ReadStorage(reader, container));
  HULL_ASSIGN(request.pull, ParsePull(reader.Text(RunFlag::kPull)));
  request.platform = reader.Text(RunFlag::kPlatform);
  HULL_TRY(CheckPlatform(request.platform));
  request.detach_keys = reader.Text(RunFlag::kDetachKeys);
  request.cidfile = reader.Text(RunFlag::kCidfile);
  container.cidfile = request.cidfile;
  return request;
}

}  // namespace hull::cli
