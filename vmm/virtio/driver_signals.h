// DriverSignals: the device's way back to its transport and the guest's driver.
#pragma once

#include "vmm/base/error.h"
#include "vmm/virtio/queue_index.h"

namespace hull {

// For the I/O loop, from Activate until Reset has been answered.
class DriverSignals {
 public:
  // Interrupts: used buffers are there. VirtQueue::NotifyGuest calls it; devices do not.
  virtual void UsedBuffers() = 0;
  // Interrupts: the configuration space has changed. It must read as changed before this call.
  virtual void ConfigChanged() = 0;
  // Has OnQueueNotified called once more, after others on the loop have had their turn: for a
  // device that stops before the queue is empty, so that a busy driver does not keep the loop for
  // itself.
  virtual void NotifyAgain(QueueIndex queue) = 0;
  // The ring or the device's state cannot be believed any more: sets DEVICE_NEEDS_RESET, logs one
  // line. For errors outside OnQueueNotified, which returns its own.
  virtual void NeedsReset(const Error& why) = 0;

 protected:
  ~DriverSignals() = default;
};

}  // namespace hull
