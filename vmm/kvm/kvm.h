// Kvm: the host's /dev/kvm, checked for what hull needs of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/kvm/cpu_state.h"
#include "vmm/kvm/vm.h"

namespace hull {

class Kvm {
 public:
  // Opens the device and checks version and capabilities. Errors say what is missing and what to
  // do: kNotFound without the device, kPermissionDenied, kUnsupported for what this KVM cannot do.
  static Result<Kvm> Open(const std::string& path = "/dev/kvm");

  // A VM with interrupt controllers (local APICs, I/O APIC, PIC) in the kernel, and no memory yet.
  Result<Vm> CreateVm() const;

  // What CPUID can answer in a guest on this host.
  Result<std::vector<CpuidEntry>> SupportedCpuid() const;

  // How many vCPUs one VM may have.
  Result<uint32_t> MaxVcpus() const;

 private:
  Kvm(UniqueFd fd, size_t run_bytes, bool can_prefault)
      : fd_(std::move(fd)), run_bytes_(run_bytes), can_prefault_(can_prefault) {}

  UniqueFd fd_;
  size_t run_bytes_;  // of a vCPU's shared page(s)
  bool can_prefault_;
};

}  // namespace hull
