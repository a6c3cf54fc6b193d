// VirtioDevice: what a kind of device adds to the transport. To write one, copy vmm/virtio/rng.
//
// Life: made, then any number of times Activate, notifications, Reset; ended while inactive or
// after the I/O loop has stopped. A device belongs to the machine, lives on the I/O loop and is
// driven by its transport.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/event/task.h"
#include "vmm/virtio/counters.h"
#include "vmm/virtio/driver_signals.h"
#include "vmm/virtio/virt_queue.h"

namespace hull {

class VirtioDevice {
 public:
  struct Activation {
    // What driver and device agreed on: a subset of features() and the transport's own.
    uint64_t features = 0;
    // One for each of queue_sizes(), by QueueIndex; the device's from now on.
    std::vector<VirtQueue> queues;
    // Valid until the device has answered Reset.
    DriverSignals* driver = nullptr;
  };

  virtual ~VirtioDevice() = default;

  // Constant for the device's life, any thread:
  // for logs and counters: "rng", "block scratch".
  virtual std::string_view name() const = 0;
  // VIRTIO_ID_* of linux/virtio_ids.h.
  virtual uint32_t device_id() const = 0;
  // The device's own feature bits; the transport adds VIRTIO_F_VERSION_1, VIRTIO_F_INDIRECT_DESC
  // and VIRTIO_F_EVENT_IDX.
  virtual uint64_t features() const { return 0; }
  // The largest size of each queue, a power of two up to 32768. The driver must set up all of them.
  virtual std::span<const uint16_t> queue_sizes() const = 0;

  // False: the device tree says so, and the guest drives it when it likes (device_tree.h), so that
  // a guest that lives shortly pays nothing for it.
  virtual bool needed_at_boot() const { return true; }

  // The configuration space, on a vCPU thread, under the transport's lock: any offset and size the
  // guest likes. What lies outside of the device's configuration reads as zero (ReadConfigFrom does
  // that), and writes to it are ignored.
  virtual void ReadConfig(uint64_t offset, std::span<std::byte> out) const = 0;
  virtual void WriteConfig(uint64_t offset, std::span<const std::byte> data);

  // On the I/O loop: the driver is ready. An error sets DEVICE_NEEDS_RESET; Reset comes all the
  // same.
  virtual Status Activate(Activation activation) = 0;
  // On the I/O loop, while active: the driver has added buffers (or has notified for no reason).
  // Works until Pop finds nothing, then NotifyGuest; stops after a queueful and says NotifyAgain.
  // An error (hand on Pop's) sets DEVICE_NEEDS_RESET, and no notification comes until the device is
  // activated again.
  virtual Status OnQueueNotified(QueueIndex queue) = 0;
  // On the I/O loop: forget the driver. Once `done` has run, at once or later, the device must not
  // touch guest memory, its queues or `driver`; the status register reads 0 only then, and the
  // guest's vCPU waits for it. May come without Activate.
  virtual void Reset(Task done) = 0;

  // Any thread.
  virtual CounterReadings Counters() const = 0;
};

// What ReadConfig does for a device whose configuration is `config`.
void ReadConfigFrom(std::span<const std::byte> config, uint64_t offset, std::span<std::byte> out);

}  // namespace hull
