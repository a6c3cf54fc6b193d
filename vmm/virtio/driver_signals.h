// DriverSignals: the device's way back to the guest's driver; the transport implements it.
#pragma once

#include "vmm/base/error.h"

namespace hull {

// For the I/O loop, from Activate until Reset has been answered.
class DriverSignals {
 public:
  // Interrupts: used buffers are there. VirtQueue::NotifyGuest calls it; devices do not.
  virtual void UsedBuffers() = 0;
  // Interrupts: the configuration space has changed. It must read as changed before this call.
  virtual void ConfigChanged() = 0;
  // The ring or the device's state cannot be believed any more: sets DEVICE_NEEDS_RESET, logs one
  // line. For errors outside OnQueueNotified, which returns its own.
  virtual void NeedsReset(const Error& why) = 0;

 protected:
  ~DriverSignals() = default;
};

}  // namespace hull
