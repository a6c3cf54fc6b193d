// MmioDriver: what a guest's virtio-mmio driver does with the registers (virtio 1.2, 3.1
// and 4.2.3).
#pragma once

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include <cstdint>

#include "tests/fakes/fake_ring.h"
#include "vmm/bus/bus_device.h"

namespace hull {

class MmioDriver {
 public:
  // `device` outlives the driver.
  explicit MmioDriver(BusDevice& device) : device_(device) {}

  uint32_t Read(uint64_t offset) const;
  void Write(uint64_t offset, uint32_t value) const;
  uint32_t status() const { return Read(VIRTIO_MMIO_STATUS); }
  void AddStatus(uint32_t bits) const { Write(VIRTIO_MMIO_STATUS, status() | bits); }
  void Reset() const { Write(VIRTIO_MMIO_STATUS, 0); }

  uint64_t OfferedFeatures() const;
  // ACKNOWLEDGE, DRIVER, the features, FEATURES_OK; false when the device does not agree.
  bool Negotiate(uint64_t features) const;
  // Writes the ring's place into the queue's registers and sets it ready.
  void SetUpQueue(uint16_t queue, const FakeRing& ring) const;
  void DriverOk() const { AddStatus(VIRTIO_CONFIG_S_DRIVER_OK); }
  void Notify(uint16_t queue) const { Write(VIRTIO_MMIO_QUEUE_NOTIFY, queue); }
  // Reads the interrupt's cause and acknowledges it.
  uint32_t TakeInterrupt() const;

 private:
  BusDevice& device_;
};

}  // namespace hull
