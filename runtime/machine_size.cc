#include "runtime/machine_size.h"

#include <algorithm>

#include "runtime/device_layout.h"
#include "runtime/oci_config.h"
#include "vmm/api/vm_config.h"
#include "vmm/base/checked.h"

namespace hull {
namespace {

constexpr uint64_t kNanoPerCpu = 1'000'000'000;
// Docker's least, one hundredth of a CPU.
constexpr uint64_t kMinNanoCpus = kNanoPerCpu / 100;
constexpr uint64_t kPageStructRatio = 4096 / 64;
constexpr uint64_t kMemoryStepBytes = 2ULL << 20;

}  // namespace

Result<MachineSize> SizeMachine(const ContainerOptions& options, uint64_t layer_bytes,
                                uint32_t host_cpus) {
  MachineSize size;
  if (options.nano_cpus) {
    const uint64_t most = std::min<uint64_t>(host_cpus, api::kMaxCpus);
    if (*options.nano_cpus < kMinNanoCpus || *options.nano_cpus > most * kNanoPerCpu) {
      return Fail(ErrorCode::kInvalidArgument,
                  "range of CPUs is from 0.01 to {}.00, as there are only {} CPUs available", most,
                  most);
    }
    size.cpus = static_cast<uint32_t>((*options.nano_cpus + kNanoPerCpu - 1) / kNanoPerCpu);
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
  return size;
}

}  // namespace hull
