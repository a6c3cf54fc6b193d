// Vm: one virtual machine of KVM's: its memory slots, interrupt lines and notification addresses.
//
// Built by one thread before the first vCPU runs. The guest's memory outlives it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/memory/guest_memory.h"

namespace hull {

// An input of the I/O APIC (Linux: GSI), 0 to 23.
struct InterruptLine {
  uint32_t number;
};

class Vm {
 public:
  static constexpr uint32_t kInterruptLines = 24;

  // Makes each region of `memory` a memslot.
  Status AddMemory(const GuestMemory& memory);

  // Connects each of the 24 lines to the I/O APIC alone, and makes the old PIC, which KVM's
  // interrupt controllers come with, look absent to a guest that probes for it (Linux writes its
  // mask and reads it back). Without a PIC, Linux neither programs it nor saves and restores the
  // I/O APIC's inputs around it: some 600 exits less.
  Status RouteInterrupts();

  // Each write of `event_fd` (an eventfd, the caller's) raises `line` once: edge-triggered.
  Status ConnectInterrupt(int event_fd, InterruptLine line);

  // A guest's write of `value`, `size_bytes` (4) wide, at `address` signals `event_fd` (the
  // caller's) and no vCPU leaves the kernel for it.
  Status ConnectNotification(int event_fd, GuestAddress address, uint32_t size_bytes,
                             uint32_t value);

  // vCPU `id`, which is also its APIC id. vCPU 0 starts where it is told to (Vcpu::SetEntryState);
  // the others wait for it to start them.
  Result<Vcpu> CreateVcpu(uint32_t id);

 private:
  friend class Kvm;
  static Result<Vm> Create(UniqueFd fd, size_t run_bytes, bool can_prefault);
  Vm(UniqueFd fd, size_t run_bytes, bool can_prefault)
      : fd_(std::move(fd)), run_bytes_(run_bytes), can_prefault_(can_prefault) {}

  UniqueFd fd_;
  size_t run_bytes_;
  bool can_prefault_;
  uint32_t next_slot_ = 0;
};

}  // namespace hull
