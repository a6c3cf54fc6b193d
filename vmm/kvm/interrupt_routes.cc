#include "vmm/kvm/interrupt_routes.h"

#include <sys/ioctl.h>

#include "vmm/kvm/kvm_header.h"
#include "vmm/kvm/kvm_list.h"

namespace hull {

Status InterruptRoutes::Load() {
  const std::lock_guard lock(mutex_);
  return LoadLocked();
}

Result<MsiRoute> InterruptRoutes::Allocate() {
  const std::lock_guard lock(mutex_);
  if (next_ - kLines >= kMaxMessages) {
    return Fail(ErrorCode::kExhausted, "a VM has at most {} message-signalled interrupts",
                kMaxMessages);
  }
  return MsiRoute{next_++};
}

Status InterruptRoutes::Set(MsiRoute route, const MsiMessage& message) {
  const std::lock_guard lock(mutex_);
  const auto [place, is_new] = messages_.try_emplace(route.number, message);
  if (!is_new) {
    if (place->second == message) return {};
    place->second = message;
  }
  Status status = LoadLocked();
  // A table with it would be refused for the others' sake, too.
  if (!status) messages_.erase(place);
  return status;
}

Status InterruptRoutes::LoadLocked() {
  KvmList<kvm_irq_routing_entry> routing(kLines + static_cast<uint32_t>(messages_.size()));
  for (uint32_t line = 0; line < kLines; ++line) {
    kvm_irq_routing_entry& entry = routing[line];
    entry.gsi = line;
    entry.type = KVM_IRQ_ROUTING_IRQCHIP;
    entry.u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
    entry.u.irqchip.pin = line;
  }
  size_t at = kLines;
  for (const auto& [number, message] : messages_) {
    kvm_irq_routing_entry& entry = routing[at++];
    entry.gsi = number;
    entry.type = KVM_IRQ_ROUTING_MSI;
    entry.u.msi.address_lo = static_cast<uint32_t>(message.address);
    entry.u.msi.address_hi = static_cast<uint32_t>(message.address >> 32U);
    entry.u.msi.data = message.data;
  }
  if (::ioctl(vm_fd_, kKvmSetGsiRouting, routing.get()) != 0) {
    return FailErrno("KVM_SET_GSI_ROUTING");
  }
  return {};
}

}  // namespace hull
