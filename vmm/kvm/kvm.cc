#include "vmm/kvm/kvm.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <array>

#include "vmm/kvm/kvm_header.h"
#include "vmm/kvm/kvm_list.h"

namespace hull {
namespace {

constexpr const char kPermissionHint[] =
    "add the user to the group that owns /dev/kvm (often \"kvm\"), or run as root";
constexpr const char kMissingHint[] =
    "load the kvm-amd or kvm-intel module; if that fails, switch virtualisation on in the "
    "firmware, or "
    "nested virtualisation where this machine is itself a virtual one";

// More leaves than any processor has.
constexpr uint32_t kMaxCpuidEntries = 256;
constexpr size_t kMaxRunBytes = 1U << 20U;

struct Capability {
  unsigned long number;
  const char* what;
};

// Each came before KVM_CAP_IMMEDIATE_EXIT (Linux 4.12) or can be compiled out or refused by the
// host's processor. The rest of what hull uses came before these and has no switch.
constexpr std::array<Capability, 5> kNeeded = {{
    {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT (Linux 4.12 or later)"},
    {KVM_CAP_IRQCHIP, "an interrupt controller in the kernel (KVM_CAP_IRQCHIP)"},
    {KVM_CAP_IRQFD, "interrupts by eventfd (KVM_CAP_IRQFD)"},
    {KVM_CAP_READONLY_MEM, "read-only memory (KVM_CAP_READONLY_MEM)"},
    {KVM_CAP_TSC_DEADLINE_TIMER, "the TSC deadline timer (KVM_CAP_TSC_DEADLINE_TIMER)"},
}};

Result<UniqueFd> OpenDevice(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd >= 0) return UniqueFd(fd);
  Error error = Error::FromErrno(errno, fmt::format("open {}", path));
  if (error.code() == ErrorCode::kPermissionDenied) {
    return Fail(std::move(error).WithHint(kPermissionHint));
  }
  return Fail(std::move(error).WithHint(kMissingHint));
}

CpuidEntry FromKvm(const kvm_cpuid_entry2& entry) {
  return {.leaf = entry.function,
          .subleaf = entry.index,
          .has_subleaf = (entry.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) != 0,
          .eax = entry.eax,
          .ebx = entry.ebx,
          .ecx = entry.ecx,
          .edx = entry.edx};
}

}  // namespace

Result<Kvm> Kvm::Open(const std::string& path) {
  HULL_ASSIGN(UniqueFd fd, OpenDevice(path));
  const int version = ::ioctl(fd.get(), KVM_GET_API_VERSION, 0UL);
  if (version < 0) return FailErrno("{} is not KVM: KVM_GET_API_VERSION", path);
  if (version != KVM_API_VERSION) {
    return Fail(ErrorCode::kUnsupported, "{} speaks version {} of KVM's interface, not {}", path,
                version, KVM_API_VERSION);
  }
  for (const Capability& capability : kNeeded) {
    if (::ioctl(fd.get(), KVM_CHECK_EXTENSION, capability.number) <= 0) {
      return Fail(ErrorCode::kUnsupported, "this host's KVM lacks {}", capability.what);
    }
  }
  const bool can_prefault = ::ioctl(fd.get(), KVM_CHECK_EXTENSION, KVM_CAP_PRE_FAULT_MEMORY) > 0;
  const int run_bytes = ::ioctl(fd.get(), KVM_GET_VCPU_MMAP_SIZE, 0UL);
  if (run_bytes < 0) return FailErrno("KVM_GET_VCPU_MMAP_SIZE");
  if (static_cast<size_t>(run_bytes) < sizeof(kvm_run) ||
      static_cast<size_t>(run_bytes) > kMaxRunBytes) {
    return Fail(ErrorCode::kUnsupported, "KVM_GET_VCPU_MMAP_SIZE gave {} bytes", run_bytes);
  }
  return Kvm(std::move(fd), static_cast<size_t>(run_bytes), can_prefault);
}

Result<Vm> Kvm::CreateVm() const {
  int fd = -1;
  do {
    fd = ::ioctl(fd_.get(), KVM_CREATE_VM, 0UL);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) {
    Error error = Error::FromErrno(errno, "KVM_CREATE_VM");
    if (error.error_number() == EBUSY) {
      error = std::move(error).WithHint(
          "another hypervisor on this host may be holding the processor's virtualisation");
    }
    return Fail(std::move(error));
  }
  return Vm::Create(UniqueFd(fd), run_bytes_, can_prefault_);
}

Result<std::vector<CpuidEntry>> Kvm::SupportedCpuid() const {
  KvmList<kvm_cpuid_entry2> list(kMaxCpuidEntries);
  if (::ioctl(fd_.get(), kKvmGetSupportedCpuid, list.get()) != 0) {
    return FailErrno("KVM_GET_SUPPORTED_CPUID");
  }
  std::vector<CpuidEntry> entries;
  entries.reserve(list.count());
  for (uint32_t i = 0; i < list.count(); ++i) entries.push_back(FromKvm(list[i]));
  return entries;
}

Result<uint32_t> Kvm::MaxVcpus() const {
  const int most = ::ioctl(fd_.get(), KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
  if (most < 0) return FailErrno("KVM_CAP_MAX_VCPUS");
  return static_cast<uint32_t>(most);
}

}  // namespace hull
