// Rng: the entropy device (virtio 1.2, 5.4). The device to read first and to copy.
//
// One queue; each chain is a buffer that the driver wants filled with random bytes. No features, no
// configuration, no requests that outlive OnQueueNotified: so Reset has nothing to wait for.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "vmm/virtio/virtio_device.h"

namespace hull {

class Rng final : public VirtioDevice {
 public:
  // What one request gets at most; the used length tells the driver how much that was. Bounds the
  // time that a guest can keep the I/O loop with one descriptor.
  static constexpr uint64_t kMaximumRequestBytes = 4096;

  std::string_view name() const override { return "rng"; }
  uint32_t device_id() const override;
  std::span<const uint16_t> queue_sizes() const override;
  void ReadConfig(uint64_t offset, std::span<std::byte> out) const override;
  Status Activate(Activation activation) override;
  Status OnQueueNotified(QueueIndex queue) override;
  void Reset(Task done) override;
  CounterReadings Counters() const override;

 private:
  void Fill(ChainWriter& writer);

  std::optional<VirtQueue> requests_;  // while active
  DriverSignals* driver_ = nullptr;    // while active

  EventCounter requests_served_;
  EventCounter bytes_served_;
};

}  // namespace hull
