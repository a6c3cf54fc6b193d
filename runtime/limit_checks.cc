#include "runtime/limit_checks.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "runtime/oci_config.h"
#include "vmm/base/escape.h"

namespace hull {
namespace {

// Far more than there can be; a list names each of them.
constexpr uint32_t kMaxCpuNumber = 8191;
constexpr uint64_t kMinPeriodUs = 1000;
constexpr uint64_t kMaxPeriodUs = 1'000'000;
constexpr int64_t kMaxOomScore = 1000;

bool ParseNumber(std::string_view text, uint32_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number <= kMaxCpuNumber;
}

Status CheckMemory(const ContainerOptions& options, std::vector<std::string>& warnings) {
  const LimitOptions& limits = options.limits;
  const uint64_t memory = options.memory_bytes.value_or(0);
  if (memory > 0 && memory < kMinContainerMemoryBytes) {
    return Fail(ErrorCode::kInvalidArgument, "Minimum memory limit allowed is 6MB");
  }
  const int64_t swap = limits.memory_swap_bytes.value_or(0);
  if (swap > 0 && memory == 0) {
    return Fail(ErrorCode::kInvalidArgument,
                "You should always set the Memory limit when using Memoryswap limit, see usage");
  }
  if (swap > 0 && static_cast<uint64_t>(swap) < memory) {
    return Fail(ErrorCode::kInvalidArgument,
                "Minimum memoryswap limit should be larger than memory limit, see usage");
  }
  if (limits.memory_swappiness) {
    warnings.emplace_back(
        "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. "
        "Memory swappiness discarded.");
  }
  const uint64_t reservation = limits.memory_reservation_bytes.value_or(0);
  if (reservation > 0 && reservation < kMinContainerMemoryBytes) {
    return Fail(ErrorCode::kInvalidArgument, "Minimum memory reservation allowed is 6MB");
  }
  if (memory > 0 && reservation > memory) {
    return Fail(ErrorCode::kInvalidArgument,
                "Minimum memory limit can not be less than memory reservation limit, see usage");
  }
  return {};
}

Status CheckCpus(const ContainerOptions& options, uint32_t host_cpus) {
  const LimitOptions& limits = options.limits;
  if (options.nano_cpus && limits.cpu_period_us) {
    return Fail(ErrorCode::kInvalidArgument,
                "Conflicting options: Nano CPUs and CPU Period cannot both be set");
  }
  if (options.nano_cpus && limits.cpu_quota_us.value_or(0) > 0) {
    return Fail(ErrorCode::kInvalidArgument,
                "Conflicting options: Nano CPUs and CPU Quota cannot both be set");
  }
  if (limits.cpu_period_us &&
      (*limits.cpu_period_us < kMinPeriodUs || *limits.cpu_period_us > kMaxPeriodUs)) {
    return Fail(ErrorCode::kInvalidArgument,
                "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. "
                "1000000)");
  }
  const int64_t quota = limits.cpu_quota_us.value_or(0);
  if (quota > 0 && static_cast<uint64_t>(quota) < kMinPeriodUs) {
    return Fail(ErrorCode::kInvalidArgument, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
  }
  if (!limits.cpuset_cpus.empty()) {
    const Result<std::vector<uint32_t>> cpus = ParseCpuList(limits.cpuset_cpus);
    if (!cpus) {
      return Fail(ErrorCode::kInvalidArgument, "Invalid value {} for cpuset cpus",
                  EscapeControl(limits.cpuset_cpus));
    }
    if (cpus->back() >= host_cpus) {
      return Fail(ErrorCode::kInvalidArgument,
                  "Requested CPUs are not available - requested {}, available: {}",
                  limits.cpuset_cpus, host_cpus == 1 ? "0" : fmt::format("0-{}", host_cpus - 1));
    }
  }
  if (!limits.cpuset_mems.empty()) {
    const Result<std::vector<uint32_t>> nodes = ParseCpuList(limits.cpuset_mems);
    if (!nodes) {
      return Fail(ErrorCode::kInvalidArgument, "Invalid value {} for cpuset mems",
                  EscapeControl(limits.cpuset_mems));
    }
    if (nodes->back() != 0) {
      return Fail(ErrorCode::kInvalidArgument,
                  "Requested memory nodes are not available - requested {}, available: 0",
                  limits.cpuset_mems);
    }
  }
  return {};
}

}  // namespace

Result<std::vector<uint32_t>> ParseCpuList(std::string_view text) {
  std::vector<uint32_t> numbers;
  const auto bad = [text] {
    return Fail(ErrorCode::kInvalidArgument, "invalid list of numbers: {}", EscapeControl(text));
  };
  std::string_view rest = text;
  while (true) {
    const size_t comma = rest.find(',');
    const std::string_view range = rest.substr(0, comma);
    const size_t dash = range.find('-');
    uint32_t first = 0;
    if (!ParseNumber(range.substr(0, dash), first)) return bad();
    uint32_t last = first;
    if (dash != std::string_view::npos && !ParseNumber(range.substr(dash + 1), last)) return bad();
    if (last < first) return bad();
    for (uint32_t number = first; number <= last; ++number) numbers.push_back(number);
    if (numbers.size() > kMaxCpuNumber + 1) return bad();
    if (comma == std::string_view::npos) break;
    rest = rest.substr(comma + 1);
  }
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

Status CheckLimits(const ContainerOptions& options, uint32_t host_cpus,
                   std::vector<std::string>& warnings) {
  HULL_TRY(CheckMemory(options, warnings));
  HULL_TRY(CheckCpus(options, host_cpus));
  const int64_t score = options.limits.oom_score_adjustment.value_or(0);
  if (score < -kMaxOomScore || score > kMaxOomScore) {
    return Fail(ErrorCode::kInvalidArgument,
                "Invalid value {}, range for oom score adj is [-1000, 1000]", score);
  }
  return {};
}

bool IsSysctlAllowed(std::string_view name) {
  constexpr std::string_view kNames[] = {"kernel.msgmax", "kernel.msgmnb",         "kernel.msgmni",
                                         "kernel.sem",    "kernel.shmall",         "kernel.shmmax",
                                         "kernel.shmmni", "kernel.shm_rmid_forced"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames) ||
         name.starts_with("net.") || name.starts_with("fs.mqueue.");
}

}  // namespace hull
