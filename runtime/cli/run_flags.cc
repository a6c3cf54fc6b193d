#include "runtime/cli/run_flags.h"

namespace hull::cli {
namespace {

using enum RunFlag;
using enum RunFlagKind;

constexpr std::string_view kNoNetwork = "hull has no networks yet";
constexpr std::string_view kNoVolumes = "hull has no volumes yet";
constexpr std::string_view kNoHealth = "hull runs no health checks";
constexpr std::string_view kNoIoLimits = "hull does not limit disk I/O yet";
constexpr std::string_view kWindows = "only Windows has it";

constexpr RunFlagSpec Refuse(std::string_view names, RunFlagKind kind, std::string_view reason,
                             std::string_view neutral = {}) {
  return {.names = names, .kind = kind, .reason = reason, .neutral = neutral};
}

constexpr RunFlagSpec kTable[] = {
    {kAnnotation, "--annotation", kList, "NAME=VALUE", "Annotation of the OCI configuration"},
    {kAttach, "-a,--attach", kList, "stdin|stdout|stderr",
     "Attach only these streams, not all of them"},
    {kCapAdd, "--cap-add", kList, "CAPABILITY", "Capability that the container has in addition"},
    {kCapDrop, "--cap-drop", kList, "CAPABILITY", "Capability that is taken away, or ALL"},
    {kCgroupns, "--cgroupns", kValue, "private", "Cgroup namespace: always its own"},
    {kCidfile, "--cidfile", kValue, "FILE", "Write the container's id to this file"},
    {kCpuPeriod, "--cpu-period", kValue, "MICROSECONDS", "Period of --cpu-quota (100000)"},
    {kCpuQuota, "--cpu-quota", kValue, "MICROSECONDS", "Limit of CPU time in each period"},
    {kCpuShares, "-c,--cpu-shares", kValue, "NUMBER",
     "Weight against the other processes of the virtual machine (1024)"},
    {kCpus, "--cpus", kValue, "NUMBER",
     "Limit of CPU time; rounded up, the number of virtual CPUs"},
    {kCpusetCpus, "--cpuset-cpus", kValue, "LIST", "CPUs of the virtual machine to run on (0-3,5)"},
    {kCpusetMems, "--cpuset-mems", kValue, "LIST", "Memory nodes to use; there is one, 0"},
    {kDebug, "--debug", kSwitch, "", "Show the phases of the start and the guest's console"},
    {kDetach, "-d,--detach", kSwitch, "", "Run in the background and print the container's id",
     true},
    {kDetachKeys, "--detach-keys", kValue, "KEYS", "Keys that detach from it (ctrl-p,ctrl-q)",
     true},
    {kDevice, "--device", kList, "DEVICE",
     "Pass a device through: pci=ADDRESS[,...], vfio=/dev/vfio/GROUP, or a CDI name"},
    {kDomainname, "--domainname", kValue, "NAME", "NIS domain name in the container"},
    {kEntrypoint, "--entrypoint", kValue, "PROGRAM", "Instead of the image's entry point"},
    {kEnv, "-e,--env", kList, "NAME[=VALUE]", "Set a variable, or pass on one of your own"},
    {kEnvFile, "--env-file", kList, "FILE", "Set the variables of this file, one a line"},
    {kGpus, "--gpus", kList, "GPUS",
     "Pass GPUs through: all, how many, or device=ADDRESS[,...] (in quotes if several)"},
    {kGroupAdd, "--group-add", kList, "GROUP", "Further group of the container's process"},
    {kHostname, "-h,--hostname", kValue, "NAME", "Host name in the container"},
    {kInit, "--init", kSwitch, "", "A small init as process 1: hands on signals, reaps orphans"},
    {kInteractive, "-i,--interactive", kSwitch, "", "Keep standard input open"},
    {kIpc, "--ipc", kValue, "private|none", "none: without /dev/shm"},
    {kLabel, "-l,--label", kList, "NAME[=VALUE]", "Label of the container"},
    {kLabelFile, "--label-file", kList, "FILE", "Labels from this file, one a line"},
    {kLogDriver, "--log-driver", kValue, "json-file|local|none",
     "none: keep no log; the others: keep it in files of hull's own format"},
    {kLogOpt, "--log-opt", kList, "NAME=VALUE",
     "max-size=SIZE of a log file (10m), max-file=NUMBER of them (3)"},
    {kMemory, "-m,--memory", kValue, "SIZE", "Limit of memory"},
    {kMemoryReservation, "--memory-reservation", kValue, "SIZE",
     "Memory that is taken from it only in need"},
    {kMemorySwap, "--memory-swap", kValue, "SIZE",
     "Memory and swap together; the virtual machine has no swap"},
    {kMemorySwappiness, "--memory-swappiness", kValue, "NUMBER", "Of no effect with cgroup v2"},
    {kName, "--name", kValue, "NAME", "Name of the container"},
    {kNetwork, "--network,--net", kValue, "none", "Networks: none yet"},
    {kNoHealthcheck, "--no-healthcheck", kSwitch, "", "No health checks: hull runs none anyway"},
    {kOomScoreAdj, "--oom-score-adj", kValue, "NUMBER",
     "From -1000 to 1000: how early to kill it when memory runs out"},
    {kPid, "--pid", kValue, "private", "PID namespace: always its own"},
    {kPidsLimit, "--pids-limit", kValue, "NUMBER", "Limit of processes and threads; -1: none"},
    {kPlatform, "--platform", kValue, "OS/ARCHITECTURE", "Which of an image's variants to use"},
    {kPrivileged, "--privileged", kSwitch, "",
     "Everything that the virtual machine's own root may do"},
    {kPull, "--pull", kValue, "missing|always|never", "When to pull the image"},
    {kQuiet, "-q,--quiet", kSwitch, "", "Say nothing while pulling"},
    {kReadOnly, "--read-only", kSwitch, "", "Mount the container's root read-only"},
    {kRestart, "--restart", kValue, "no", "When to start it again: never, there is no daemon"},
    {kRm, "--rm", kSwitch, "", "Remove the container when it exits"},
    {kSecurityOpt, "--security-opt", kList, "NAME=VALUE",
     "seccomp=unconfined, seccomp=FILE, no-new-privileges, systempaths=unconfined"},
    {kShmSize, "--shm-size", kValue, "SIZE", "Size of /dev/shm (64m)"},
    {kSigProxy, "--sig-proxy", kSwitch, "", "Hand signals on to the process (true)", true},
    {kStopSignal, "--stop-signal", kValue, "SIGNAL", "Signal that stops it (SIGTERM)"},
    {kStopTimeout, "--stop-timeout", kValue, "SECONDS",
     "From that signal to SIGKILL (10); -1: for ever"},
    {kStorage, "--storage", kValue, "KIND", "Where changes go: disk[=SIZE] or tmpfs[=SIZE]"},
    {kStorageOpt, "--storage-opt", kList, "size=SIZE", "As docker has it: size of the disk"},
    {kSysctl, "--sysctl", kList, "NAME=VALUE", "Kernel parameter of the container"},
    {kTmpfs, "--tmpfs", kList, "DIR[:OPTIONS]", "Mount a tmpfs on this directory"},
    {kTty, "-t,--tty", kSwitch, "", "Give the container a terminal"},
    {kUlimit, "--ulimit", kList, "NAME=SOFT[:HARD]", "Limit of a resource, as in nofile=1024:4096"},
    {kUser, "-u,--user", kValue, "USER[:GROUP]", "User to run as"},
    {kUserns, "--userns", kValue, "host", "User namespace: that of the virtual machine"},
    {kUts, "--uts", kValue, "private", "UTS namespace: always its own"},
    {kVirtualCpus, "--vcpus", kValue, "NUMBER", "Virtual CPUs, when --cpus is not to decide"},
    {kWorkdir, "-w,--workdir", kValue, "DIR", "Working directory in the container"},
    {kLayers, "--layers", kValue, "auto|pmem|block"},

    Refuse("--add-host", kList, kNoNetwork),
    Refuse("--blkio-weight", kValue, kNoIoLimits, "|0|"),
    Refuse("--blkio-weight-device", kList, kNoIoLimits),
    Refuse("--cgroup-parent", kValue, "a container's cgroup is in its own virtual machine", "||"),
    Refuse("--cpu-count", kValue, kWindows, "|0|"),
    Refuse("--cpu-percent", kValue, kWindows, "|0|"),
    Refuse("--cpu-rt-period", kValue, "cgroup v2 has no such limit", "|0|"),
    Refuse("--cpu-rt-runtime", kValue, "cgroup v2 has no such limit", "|0|"),
    Refuse("--device-cgroup-rule", kList,
           "what --device passes through may be used without; --privileged allows the others"),
    Refuse("--device-read-bps", kList, kNoIoLimits),
    Refuse("--device-read-iops", kList, kNoIoLimits),
    Refuse("--device-write-bps", kList, kNoIoLimits),
    Refuse("--device-write-iops", kList, kNoIoLimits),
    // Docker's sense of it: true is "do not verify".
    Refuse("--disable-content-trust", kSwitch, "hull does not verify signatures of that kind",
           "|true|"),
    Refuse("--dns", kList, kNoNetwork),
    Refuse("--dns-option,--dns-opt", kList, kNoNetwork),
    Refuse("--dns-search", kList, kNoNetwork),
    Refuse("--expose", kList, kNoNetwork),
    Refuse("--health-cmd", kValue, kNoHealth, "||"),
    Refuse("--health-interval", kValue, kNoHealth, "|0|0s|"),
    Refuse("--health-retries", kValue, kNoHealth, "|0|"),
    Refuse("--health-start-interval", kValue, kNoHealth, "|0|0s|"),
    Refuse("--health-start-period", kValue, kNoHealth, "|0|0s|"),
    Refuse("--health-timeout", kValue, kNoHealth, "|0|0s|"),
    Refuse("--io-maxbandwidth", kValue, kWindows, "|0|"),
    Refuse("--io-maxiops", kValue, kWindows, "|0|"),
    Refuse("--ip", kValue, kNoNetwork, "||"),
    Refuse("--ip6", kValue, kNoNetwork, "||"),
    Refuse("--isolation", kValue, "every container has a virtual machine of its own",
           "||default|hyperv|"),
    Refuse("--kernel-memory", kValue, "Linux has no such limit any more", "|0|"),
    Refuse("--link", kList, kNoNetwork),
    Refuse("--link-local-ip", kList, kNoNetwork),
    Refuse("--mac-address", kValue, kNoNetwork, "||"),
    Refuse("--mount", kList, "hull has no volumes yet; --tmpfs mounts a tmpfs"),
    Refuse("--network-alias,--net-alias", kList, kNoNetwork),
    Refuse("--oom-kill-disable", kSwitch, "cgroup v2 cannot do without the OOM killer", "|false|"),
    Refuse("-p,--publish", kList, kNoNetwork),
    Refuse("-P,--publish-all", kSwitch, kNoNetwork, "|false|"),
    Refuse("--runtime", kValue, "a container of hull has no other runtime", "||hull|"),
    Refuse("--use-api-socket", kSwitch, "there is no daemon, and no socket of one", "|false|"),
    Refuse("-v,--volume", kList, kNoVolumes),
    Refuse("--volume-driver", kValue, kNoVolumes, "||"),
    Refuse("--volumes-from", kList, kNoVolumes),
};

}  // namespace

std::span<const RunFlagSpec> RunFlagTable() {
  return kTable;
}

std::string_view LongName(const RunFlagSpec& spec) {
  const size_t at = spec.names.find("--");
  return spec.names.substr(at, spec.names.find(',', at) - at);
}

}  // namespace hull::cli
