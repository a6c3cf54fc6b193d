// Vm: one virtual machine of KVM's: its memory slots, interrupt lines and notification addresses.
//
// Built by one thread before the first vCPU runs. The guest's memory outlives it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/kvm/interrupt_routes.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/memory/guest_memory.h"
#include "vmm/memory/host_mappings.h"

namespace hull {

// An input of the I/O APIC (Linux: GSI), 0 to 23.
struct InterruptLine {
  uint32_t number;
};

class Vm {
 public:
  static constexpr uint32_t kInterruptLines = InterruptRoutes::kLines;

  // Makes each region of `memory` a memslot.
  Status AddMemory(const GuestMemory& memory);
  // The same for one mapping that is no GuestMemory: a passed-through device's own memory. It
  // outlives the VM.
  Status AddMapping(const HostMappings::Mapping& mapping);

  // Connects each of the 24 lines to the I/O APIC alone, and makes the old PIC, which KVM's
  // interrupt controllers come with, look absent to a guest that probes for it (Linux writes its
  // mask and reads it back). Without a PIC, Linux neither programs it nor saves and restores the
  // I/O APIC's inputs around it: some 600 exits less.
  Status RouteInterrupts();

  // Each write of `event_fd` (an eventfd, the caller's) raises `line` once: edge-triggered.
  Status ConnectInterrupt(int event_fd, InterruptLine line);
  // The same, level-triggered: the line stays raised until the guest has handled it; then
  // `resample_fd` (an eventfd, the caller's) is signalled, and whoever still has cause raises it
  // again.
  Status ConnectLevelInterrupt(int event_fd, int resample_fd, InterruptLine line);
  void DisconnectInterrupt(int event_fd, InterruptLine line);

  // Routes for message-signalled interrupts. Any thread.
  InterruptRoutes& routes() { return *routes_; }
  // Each write of `event_fd` raises what `route` is set to. One that was written to before that is
  // raised at once.
  Status ConnectMessage(int event_fd, MsiRoute route);
  void DisconnectMessage(int event_fd, MsiRoute route);

  // A guest's write of `value`, `size_bytes` (4) wide, at `address` signals `event_fd` (the
  // caller's) and no vCPU leaves the kernel for it.
  Status ConnectNotification(int event_fd, GuestAddress address, uint32_t size_bytes,
                             uint32_t value);

  // Tells KVM of a VFIO group's or device's descriptor, so that it knows what the device's memory
  // transactions need of it (coherency).
  Status AddVfioFile(int fd);

  // vCPU `id`, which is also its APIC id. vCPU 0 starts where it is told to (Vcpu::SetEntryState);
  // the others wait for it to start them.
  Result<Vcpu> CreateVcpu(uint32_t id);

 private:
  friend class Kvm;
  static Result<Vm> Create(UniqueFd fd, size_t run_bytes, bool can_prefault);
  Vm(UniqueFd fd, size_t run_bytes, bool can_prefault)
      : fd_(std::move(fd)),
        routes_(std::make_unique<InterruptRoutes>(fd_.get())),
        run_bytes_(run_bytes),
        can_prefault_(can_prefault) {}

  UniqueFd fd_;
  std::unique_ptr<InterruptRoutes> routes_;
  UniqueFd vfio_device_;  // KVM's, once there is a file to tell it of
  size_t run_bytes_;
  bool can_prefault_;
  uint32_t next_slot_ = 0;
};

}  // namespace hull
