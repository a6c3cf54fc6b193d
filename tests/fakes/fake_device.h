// FakeDevice: a VirtioDevice with two queues that answers each chain with its own readable bytes,
// and whose every step a test can watch, hold up or let fail.
#pragma once

#include <linux/virtio_ids.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/virtio/virtio_device.h"

namespace hull {

class FakeDevice final : public VirtioDevice {
 public:
  static constexpr uint64_t kFeature = uint64_t{1} << 3U;
  static constexpr uint16_t kQueueSizes[] = {16, 8};
  static constexpr uint64_t kMaximumEchoBytes = 65536;

  std::string_view name() const override { return "fake"; }
  uint32_t device_id() const override { return VIRTIO_ID_RNG; }
  uint64_t features() const override { return kFeature; }
  std::span<const uint16_t> queue_sizes() const override { return kQueueSizes; }
  void ReadConfig(uint64_t offset, std::span<std::byte> out) const override {
    ReadConfigFrom(config, offset, out);
  }
  void WriteConfig(uint64_t offset, std::span<const std::byte> data) override {
    for (size_t i = 0; i < data.size() && offset + i < config.size(); ++i) {
      config[offset + i] = data[i];
    }
  }
  Status Activate(Activation given) override {
    ++activations;
    if (fail_activation) return Fail(ErrorCode::kFailed, "as the test wants it");
    activation.emplace(std::move(given));
    return {};
  }
  Status OnQueueNotified(QueueIndex queue) override {
    ++notifications;
    VirtQueue& ring = activation->queues[static_cast<size_t>(queue)];
    for (;;) {
      HULL_ASSIGN(std::optional<DescriptorChain> chain, ring.Pop());
      if (!chain) break;
      std::vector<std::byte> data(std::min(chain->readable_bytes(), kMaximumEchoBytes));
      chain->reader().Read(data);
      chain->writer().Write(data);
      ring.Complete(std::move(*chain));
    }
    ring.NotifyGuest();
    return {};
  }
  void Reset(Task done) override {
    ++resets;
    activation.reset();
    if (hold_reset) {
      held_reset = std::move(done);
    } else {
      done();
    }
  }
  CounterReadings Counters() const override { return {{"fake", 7}}; }

  // I/O loop.
  std::optional<Activation> activation;  // while active
  std::vector<std::byte> config = std::vector<std::byte>(6, std::byte{0xab});
  bool fail_activation = false;
  bool hold_reset = false;
  Task held_reset;
  int activations = 0;
  int notifications = 0;
  int resets = 0;
};

}  // namespace hull
