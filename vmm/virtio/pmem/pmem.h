// Pmem: a persistent-memory range (virtio 1.2, 5.19): read-only files in guest memory, which the
// guest uses in place (DAX) out of the host's page cache.
//
// The device itself only tells where the range is and answers flush requests: on a range that
// nobody can write, a flush has nothing to do. What is in the range is PmemContent
// (pmem_content.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vmm/memory/guest_range.h"
#include "vmm/virtio/virtio_device.h"

namespace hull {

class Pmem final : public VirtioDevice {
 public:
  // `id` names the device in logs and counters: "pmem <id>".
  Pmem(std::string_view id, const GuestRange& range);

  const GuestRange& range() const { return range_; }

  std::string_view name() const override { return name_; }
  uint32_t device_id() const override;
  std::span<const uint16_t> queue_sizes() const override;
  void ReadConfig(uint64_t offset, std::span<std::byte> out) const override;
  Status Activate(Activation activation) override;
  Status OnQueueNotified(QueueIndex queue) override;
  void Reset(Task done) override;
  CounterReadings Counters() const override;

 private:
  void Answer(DescriptorChain& chain);

  const std::string name_;
  const GuestRange range_;
  std::optional<VirtQueue> requests_;  // while active
  DriverSignals* driver_ = nullptr;    // while active

  EventCounter flushes_;
  EventCounter bad_requests_;
};

}  // namespace hull
