// Every flag that `docker run` has, as data: what hull does with it, or why it does not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace hull::cli {

// Flags that hull reads one by one. The rest of the table is refused without being looked at.
enum class RunFlag : uint8_t {
  kAnnotation,
  kAttach,
  kCapAdd,
  kCapDrop,
  kCgroupns,
  kCidfile,
  kCpuPeriod,
  kCpuQuota,
  kCpuShares,
  kCpus,
  kCpusetCpus,
  kCpusetMems,
  kDebug,
  kDetach,
  kDetachKeys,
  kDevice,
  kDomainname,
  kEntrypoint,
  kEnv,
  kEnvFile,
  kGpus,
  kGroupAdd,
  kHostname,
  kInit,
  kInteractive,
  kIpc,
  kLabel,
  kLabelFile,
  kLayers,
  kLogDriver,
  kLogOpt,
  kMemory,
  kMemoryReservation,
  kMemorySwap,
  kMemorySwappiness,
  kName,
  kNetwork,
  kNoHealthcheck,
  kOomScoreAdj,
  kPid,
  kPidsLimit,
  kPlatform,
  kPrivileged,
  kPull,
  kQuiet,
  kReadOnly,
  kRestart,
  kRm,
  kSecurityOpt,
  kShmSize,
  kSigProxy,
  kStopSignal,
  kStopTimeout,
  kStorage,
  kStorageOpt,
  kSysctl,
  kTmpfs,
  kTty,
  kUlimit,
  kUser,
  kUserns,
  kUts,
  kVirtualCpus,
  kWorkdir,
  kRefused,  // not one of its own
};

enum class RunFlagKind : uint8_t {
  kSwitch,  // "--rm", "--rm=false"
  kValue,   // the last one given counts
  kList,
};

struct RunFlagSpec {
  RunFlag flag = RunFlag::kRefused;
  std::string_view names;  // "-e,--env"
  RunFlagKind kind = RunFlagKind::kValue;
  std::string_view type = {};         // what its value is, for help and completion
  std::string_view description = {};  // empty: shown nowhere
  bool run_only = false;              // `hull create` has none
  // Of a refused flag: why, and the values that ask for what is so anyway ("|no|", "" among them).
  std::string_view reason = {};
  std::string_view neutral = {};
};

// In the order of the help.
std::span<const RunFlagSpec> RunFlagTable();

// "--env".
std::string_view LongName(const RunFlagSpec& spec);

}  // namespace hull::cli
