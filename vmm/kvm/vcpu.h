// Vcpu: one virtual processor.
//
// Set up on the thread that builds the machine, then run by one thread of its own. RequestExit is
// for any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/kvm/cpu_state.h"
#include "vmm/kvm/vcpu_exit.h"
#include "vmm/memory/guest_range.h"

namespace hull {

class Vcpu {
 public:
  Vcpu(Vcpu&& other) noexcept;
  Vcpu& operator=(Vcpu&&) = delete;
  ~Vcpu();

  Status SetCpuid(std::span<const CpuidEntry> entries);
  // kUnsupported, naming the register, when this host's KVM refuses one.
  Status SetMsrs(std::span<const Msr> msrs);
  Status SetEntryState(const EntryState& state);

  // Maps what the host already has of `range` (page-aligned) for the guest, so that the guest's
  // first touch of each page is no exit. Pages are mapped writable where the host's own mapping
  // allows it. Does nothing where the host's KVM cannot (before Linux 6.11, or without nested
  // paging).
  Status Prefault(const GuestRange& range);

  // Runs the guest until it needs something. Answers to reads are put into the exit's data.
  VcpuExit Run();

  // Makes Run return kInterrupted at once, now and ever after. A Run that is inside the guest needs
  // a signal to its thread as well, sent after this.
  void RequestExit();

  // The instruction pointer, for messages; 0 when it cannot be had. On the vCPU's thread.
  uint64_t InstructionPointer() const;

 private:
  friend class Vm;
  static Result<Vcpu> Create(UniqueFd fd, size_t run_bytes, bool can_prefault);
  Vcpu(UniqueFd fd, kvm_run* run, size_t run_bytes, bool can_prefault)
      : fd_(std::move(fd)), run_(run), run_bytes_(run_bytes), can_prefault_(can_prefault) {}

  UniqueFd fd_;
  // SAFETY: a mapping of run_bytes_ that this object owns, shared with the kernel.
  kvm_run* run_;
  size_t run_bytes_;
  bool can_prefault_;
};

}  // namespace hull
