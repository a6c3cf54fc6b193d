#include "vmm/kvm/vcpu.h"

#include <sys/ioctl.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <utility>

#include "vmm/kvm/kvm_header.h"
#include "vmm/kvm/kvm_list.h"

namespace hull {
namespace {

kvm_segment ToKvm(const SegmentState& state) {
  kvm_segment segment = {};
  segment.base = state.base;
  segment.limit = state.limit;
  segment.selector = state.selector;
  segment.type = state.type;
  segment.present = 1;
  segment.s = state.code_or_data ? 1 : 0;
  segment.l = state.long_mode ? 1 : 0;
  segment.db = state.default_size_32 ? 1 : 0;
  segment.g = state.granularity_4k ? 1 : 0;
  return segment;
}

}  // namespace

Result<Vcpu> Vcpu::Create(UniqueFd fd, size_t run_bytes, bool can_prefault) {
  void* page = ::mmap(nullptr, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (page == MAP_FAILED) return FailErrno("map the vCPU's page");
  return Vcpu(std::move(fd), static_cast<kvm_run*>(page), run_bytes, can_prefault);
}

Vcpu::Vcpu(Vcpu&& other) noexcept
    : fd_(std::move(other.fd_)),
      run_(std::exchange(other.run_, nullptr)),
      run_bytes_(other.run_bytes_),
      can_prefault_(other.can_prefault_) {}

Vcpu::~Vcpu() {
  if (run_ != nullptr) ::munmap(run_, run_bytes_);
}

Status Vcpu::SetCpuid(std::span<const CpuidEntry> entries) {
  KvmList<kvm_cpuid_entry2> list(static_cast<uint32_t>(entries.size()));
  for (size_t i = 0; i < entries.size(); ++i) {
    kvm_cpuid_entry2& out = list[i];
    out.function = entries[i].leaf;
    out.index = entries[i].subleaf;
    out.flags = entries[i].has_subleaf ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
    out.eax = entries[i].eax;
    out.ebx = entries[i].ebx;
    out.ecx = entries[i].ecx;
    out.edx = entries[i].edx;
  }
  if (::ioctl(fd_.get(), kKvmSetCpuid2, list.get()) != 0) return FailErrno("KVM_SET_CPUID2");
  return {};
}

Status Vcpu::SetMsrs(std::span<const Msr> msrs) {
  KvmList<kvm_msr_entry> list(static_cast<uint32_t>(msrs.size()));
  for (size_t i = 0; i < msrs.size(); ++i) {
    list[i].index = msrs[i].index;
    list[i].data = msrs[i].value;
  }
  // The number of registers that were set: the first one that was not is refused.
  const int count = ::ioctl(fd_.get(), kKvmSetMsrs, list.get());
  if (count < 0) return FailErrno("KVM_SET_MSRS");
  if (static_cast<size_t>(count) < msrs.size()) {
    return Fail(ErrorCode::kUnsupported, "KVM_SET_MSRS: this KVM refuses register {:#x} = {:#x}",
                msrs[static_cast<size_t>(count)].index, msrs[static_cast<size_t>(count)].value);
  }
  return {};
}

Status Vcpu::SetEntryState(const EntryState& state) {
  kvm_sregs special = {};
  if (::ioctl(fd_.get(), KVM_GET_SREGS, &special) != 0) return FailErrno("KVM_GET_SREGS");
  special.cs = ToKvm(state.code);
  for (kvm_segment* segment : {&special.ds, &special.es, &special.fs, &special.gs, &special.ss}) {
    *segment = ToKvm(state.data);
  }
  special.tr = ToKvm(state.task);
  special.cr0 = state.cr0;
  special.cr3 = state.cr3;
  special.cr4 = state.cr4;
  special.efer = state.efer;
  if (::ioctl(fd_.get(), KVM_SET_SREGS, &special) != 0) return FailErrno("KVM_SET_SREGS");
  kvm_regs registers = {};
  registers.rip = state.rip;
  registers.rsi = state.rsi;
  registers.rsp = state.rsp;
  registers.rflags = 2;  // bit 1 is always set (SDM 1, 3.4.3)
  if (::ioctl(fd_.get(), KVM_SET_REGS, &registers) != 0) return FailErrno("KVM_SET_REGS");
  return {};
}

Status Vcpu::Prefault(const GuestRange& range) {
  if (!can_prefault_ || range.empty()) return {};
  kvm_pre_fault_memory request = {};
  request.gpa = range.start().value();
  request.size = range.size_bytes();
  while (request.size > 0) {
    // The kernel moves `gpa` and `size` on by what it has done.
    if (::ioctl(fd_.get(), KVM_PRE_FAULT_MEMORY, &request) == 0 || errno == EINTR) continue;
    // Without nested paging there is nothing to prepare.
    if (errno == EOPNOTSUPP) return {};
    return FailErrno("KVM_PRE_FAULT_MEMORY at {:#x}", request.gpa);
  }
  return {};
}

VcpuExit Vcpu::Run() {
  if (::ioctl(fd_.get(), KVM_RUN, 0UL) == 0) return DecodeExit(run_, run_bytes_);
  if (errno == EINTR || errno == EAGAIN) return {.kind = ExitKind::kInterrupted};
  return {.kind = ExitKind::kFailed, .address = static_cast<uint64_t>(errno)};
}

void Vcpu::RequestExit() {
  // The kernel reads the byte when KVM_RUN begins.
  std::atomic_ref<uint8_t>(run_->immediate_exit).store(1, std::memory_order_seq_cst);
}

uint64_t Vcpu::InstructionPointer() const {
  kvm_regs registers = {};
  return ::ioctl(fd_.get(), KVM_GET_REGS, &registers) == 0 ? registers.rip : 0;
}

}  // namespace hull
