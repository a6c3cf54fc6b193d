// Console: the guest's hvc0 (virtio 1.2, 5.3), one port.
//
// Output is kept, the last 64 KiB of it, and handed to a sink as it comes. Input waits in a bounded
// queue until the guest has a buffer for it. The guest can neither block the host (output is always
// taken at once) nor exhaust it (both buffers have their caps and are made when first used).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vmm/virtio/console/output_ring.h"
#include "vmm/virtio/virtio_device.h"

namespace hull {

class Console final : public VirtioDevice {
 public:
  static constexpr size_t kKeptOutputBytes = size_t{64} * 1024;
  static constexpr size_t kMaximumInputBytes = size_t{16} * 1024;

  // What one chain of output is read up to; the rest of it is lost and counted. Linux writes a page
  // at a time; this bounds how long one chain of 4 GiB keeps the loop.
  static constexpr uint64_t kMaximumWriteBytes = uint64_t{64} * 1024;

  // Called on the I/O loop with what the guest has just written, raw. Must not block, and must
  // bound what it stores: the guest can write for ever.
  using Sink = std::function<void(std::span<const std::byte>)>;

  explicit Console(Sink sink = nullptr) : sink_(std::move(sink)) {}

  // The last kKeptOutputBytes of what the guest wrote, raw. Any thread.
  std::string Output() const;
  // The last `count` lines of it; the last line may be unfinished. Any thread.
  std::string LastLines(size_t count) const;

  // Gives the guest input; returns how many bytes were taken (fewer when kMaximumInputBytes wait
  // already). I/O loop.
  size_t SendInput(std::string_view data);

  std::string_view name() const override { return "console"; }
  uint32_t device_id() const override;
  std::span<const uint16_t> queue_sizes() const override;
  void ReadConfig(uint64_t offset, std::span<std::byte> out) const override;
  Status Activate(Activation activation) override;
  Status OnQueueNotified(QueueIndex queue) override;
  void Reset(Task done) override;
  CounterReadings Counters() const override;

 private:
  Status DrainOutput(QueueIndex queue);
  void Keep(ChainReader& reader);
  Status DeliverInput(VirtQueue& receive);

  const Sink sink_;
  std::optional<VirtQueue> receive_;   // to the guest; while active
  std::optional<VirtQueue> transmit_;  // from the guest; while active
  DriverSignals* driver_ = nullptr;    // while active
  std::string input_;                  // not yet delivered

  mutable std::mutex output_mutex_;
  OutputRing output_{kKeptOutputBytes};  // under output_mutex_

  EventCounter bytes_from_guest_;
  EventCounter bytes_to_guest_;
  EventCounter bytes_cut_;
};

}  // namespace hull
