// DeviceHarness: drives a VirtioDevice as the transport would, on the test's own thread, with a
// FakeRing for each of its queues.
#pragma once

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/fakes/fake_guest.h"
#include "tests/fakes/fake_ring.h"
#include "tests/fakes/fake_signals.h"
#include "vmm/virtio/ring_layout.h"
#include "vmm/virtio/virtio_device.h"

namespace hull {

class DeviceHarness {
 public:
  static constexpr uint64_t kRingFeatures = (uint64_t{1} << VIRTIO_F_VERSION_1) |
                                            (uint64_t{1} << VIRTIO_RING_F_INDIRECT_DESC) |
                                            (uint64_t{1} << VIRTIO_RING_F_EVENT_IDX);

  // `device` outlives the harness.
  explicit DeviceHarness(VirtioDevice& device) : device_(device) {}

  // Activates the device with fresh rings of its own sizes and with all of its features, or those
  // given.
  Status Activate();
  Status Activate(uint64_t features);
  // Resets it and drops the rings; true when it has answered at once.
  bool Reset();

  FakeGuest& guest() { return guest_; }
  FakeRing& ring(uint16_t queue) { return *rings_.at(queue); }
  FakeSignals& signals() { return signals_; }

  // Notifies the device, and again for as long as it asks for that; what it said last. As the
  // transport does, stays silent after an error.
  Status Notify(uint16_t queue);

  // One field of the configuration space.
  template <typename T>
  T ReadConfig(uint64_t offset) const {
    T value = {};
    device_.ReadConfig(offset, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }

 private:
  VirtioDevice& device_;
  FakeGuest guest_;
  FakeSignals signals_;
  std::vector<std::unique_ptr<FakeRing>> rings_;
};

}  // namespace hull
