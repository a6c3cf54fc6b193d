// Balloon: gives the host back what the guest does not use (virtio 1.2, 5.5), by free page
// reporting: the guest says which blocks of its memory are free, the host drops what is in them,
// and the guest's next touch gets fresh pages. The guest may do with them what it likes at any
// moment; nothing is asked of it.
//
// hull never asks for a balloon (num_pages is 0). A guest that inflates one all the same gets what
// the specification says.
//
// A guest can hurt only itself: what it names is its own memory, and at worst loses its content.
// Not in a VM whose devices reach all of its memory: a page that a device may write to has to stay.
// Where they have a pool, a guest that reports that takes it from itself: its device goes on with
// the pages that are pinned, which are nobody else's before it is stopped.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "vmm/memory/guest_memory.h"
#include "vmm/virtio/virtio_device.h"

namespace hull {

class Balloon final : public VirtioDevice {
 public:
  // How many page numbers of one request of the inflate queue are looked at; Linux sends 256. The
  // rest stays as it is. Bounds the time that a guest can keep the I/O loop with one request.
  static constexpr size_t kMaximumPages = 1024;

  // `memory`: the guest's; outlives the device.
  explicit Balloon(const GuestMemory& memory) : memory_(memory) {}

  std::string_view name() const override { return "balloon"; }
  uint32_t device_id() const override;
  uint64_t features() const override;
  bool needed_at_boot() const override { return false; }
  std::span<const uint16_t> queue_sizes() const override;
  void ReadConfig(uint64_t offset, std::span<std::byte> out) const override;
  Status Activate(Activation activation) override;
  Status OnQueueNotified(QueueIndex queue) override;
  void Reset(Task done) override;
  CounterReadings Counters() const override;

 private:
  void Serve(QueueIndex queue, DescriptorChain& chain);
  void Report(ChainWriter& blocks);
  void Inflate(ChainReader& pages);

  const GuestMemory& memory_;
  std::vector<VirtQueue> queues_;    // while active
  DriverSignals* driver_ = nullptr;  // while active
  bool reporting_ = false;           // the driver has accepted the feature

  EventCounter requests_;
  EventCounter bytes_given_back_;
};

}  // namespace hull
