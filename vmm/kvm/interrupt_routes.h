// InterruptRoutes: which interrupt of the guest each of a VM's interrupt numbers (KVM: GSI) raises.
// Numbers 0 to 23 are the I/O APIC's inputs; the ones above are messages (MSI), made as they are
// needed.
//
// Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>

#include "vmm/base/result.h"

namespace hull {

// What a device writes where to interrupt a processor. Both numbers are the guest's: KVM makes of
// them what the hardware would.
struct MsiMessage {
  uint64_t address = 0;
  uint32_t data = 0;

  bool operator==(const MsiMessage&) const = default;
};

// The number of a message's route.
struct MsiRoute {
  uint32_t number;
};

class InterruptRoutes {
 public:
  static constexpr uint32_t kLines = 24;
  // Linux allows 4,096 routes to a VM (KVM_MAX_IRQ_ROUTES).
  static constexpr uint32_t kMaxMessages = 4096 - kLines;

  // `vm_fd` stays the caller's and outlives this.
  explicit InterruptRoutes(int vm_fd) : vm_fd_(vm_fd) {}

  // Makes KVM's table what it is here: at first the lines alone, each to the I/O APIC.
  Status Load();
  // A number that raises nothing yet. kExhausted when there are no more.
  Result<MsiRoute> Allocate();
  // From now on `route` raises `message`. When KVM refuses that, `route` raises nothing.
  Status Set(MsiRoute route, const MsiMessage& message);

 private:
  Status LoadLocked();

  const int vm_fd_;
  std::mutex mutex_;
  uint32_t next_ = kLines;                   // under mutex_
  std::map<uint32_t, MsiMessage> messages_;  // under mutex_
};

}  // namespace hull
