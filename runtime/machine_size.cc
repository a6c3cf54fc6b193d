#include "runtime/machine_size.h"

#include <algorithm>

#include "runtime/device_layout.h"
#include "runtime/limit_checks.h"
#include "runtime/oci_config.h"
#include "vmm/api/vm_config.h"
#include "vmm/base/checked.h"

namespace hull {
namespace {

constexpr uint64_t kNanoPerCpu = 1'000'000'000;
// Docker's least, one hundredth of a CPU.
constexpr uint64_t kMinNanoCpus = kNanoPerCpu / 100;
constexpr uint64_t kDefaultPeriodUs = 100'000;
constexpr uint64_t kPageStructRatio = 4096 / 64;
constexpr uint64_t kMemoryStepBytes = 2ULL << 20;

}  // namespace

Result<MachineSize> SizeMachine(const ContainerOptions& options, uint64_t layer_bytes,
                                uint32_t host_cpus) {
  MachineSize size;
  const uint64_t most = std::max<uint64_t>(1, std::min<uint64_t>(host_cpus, api::kMaxCpus));
  if (options.nano_cpus) {
    if (*options.nano_cpus < kMinNanoCpus || *options.nano_cpus > most * kNanoPerCpu) {
      return Fail(ErrorCode::kInvalidArgument,
                  "range of CPUs is from 0.01 to {}.00, as there are only {} CPUs available", most,
                  most);
    }
    size.cpus = static_cast<uint32_t>((*options.nano_cpus + kNanoPerCpu - 1) / kNanoPerCpu);
  }
  const LimitOptions& limits = options.limits;
  if (const int64_t quota_us = limits.cpu_quota_us.value_or(0); quota_us > 0) {
    const uint64_t period_us = limits.cpu_period_us.value_or(kDefaultPeriodUs);
    const uint64_t wanted = (static_cast<uint64_t>(quota_us) + period_us - 1) / period_us;
    size.cpus = static_cast<uint32_t>(std::clamp<uint64_t>(wanted, 1, most));
  }
  if (!limits.cpuset_cpus.empty()) {
    // So that the CPUs which are named are there.
    HULL_ASSIGN(const std::vector<uint32_t> cpus, ParseCpuList(limits.cpuset_cpus));
    size.cpus =
        std::max(size.cpus, static_cast<uint32_t>(std::min<uint64_t>(cpus.back() + 1, most)));
  }
  if (options.virtual_cpus) {
    if (*options.virtual_cpus < 1 || *options.virtual_cpus > api::kMaxCpus) {
      return Fail(ErrorCode::kInvalidArgument, "a virtual machine has 1 to {} CPUs, not {}",
                  api::kMaxCpus, *options.virtual_cpus);
    }
    size.cpus = static_cast<uint32_t>(*options.virtual_cpus);
  }
  size.memory_bytes = kDefaultMemoryBytes;
  if (options.memory_bytes) {
    if (*options.memory_bytes < kMinContainerMemoryBytes) {
      return Fail(ErrorCode::kInvalidArgument, "Minimum memory limit allowed is 6MB");
    }
    if (*options.memory_bytes > api::kMaxMemoryBytes / 2) {
      return Fail(ErrorCode::kInvalidArgument,
                  "a memory limit of {} bytes is more than a machine can have",
                  *options.memory_bytes);
    }
    // As much again for what the guest's kernel sizes by its memory: hash tables above all.
    const uint64_t own_pages = 2 * *options.memory_bytes / kPageStructRatio;
    const uint64_t layer_pages =
        std::min(layer_bytes, *options.memory_bytes * kPmemBytesPerMemoryByte) / kPageStructRatio;
    const uint64_t sum = *options.memory_bytes + kGuestMemoryBytes + own_pages + layer_pages;
    size.memory_bytes = *CheckedAlignUp(sum, kMemoryStepBytes);
  }
  // Nobody but devices gets this, and no more than half may be theirs.
  const uint64_t pool_bytes =
      CheckedAlignUp(options.devices.dma_pool_bytes, kMemoryStepBytes).value_or(0);
  size.memory_bytes = std::max(size.memory_bytes + pool_bytes, 2 * pool_bytes);
  return size;
}

}  // namespace hull
