#include "tests/fakes/device_harness.h"

#include <utility>

namespace hull {

Status DeviceHarness::Activate() {
  return Activate(device_.features() | kRingFeatures);
}

Status DeviceHarness::Activate(uint64_t features) {
  VirtioDevice::Activation activation{.features = features, .queues = {}, .driver = &signals_};
  rings_.clear();
  for (const uint16_t size : device_.queue_sizes()) {
    const auto& ring = rings_.emplace_back(std::make_unique<FakeRing>(guest_, size, features));
    HULL_ASSIGN(VirtQueue queue, ring->Config().Activate(guest_.memory(), features, signals_));
    activation.queues.push_back(std::move(queue));
  }
  return device_.Activate(std::move(activation));
}

bool DeviceHarness::Reset() {
  // Shared: the device may answer after this function has returned.
  const auto done = std::make_shared<bool>(false);
  device_.Reset([done] { *done = true; });
  if (*done) signals_ = FakeSignals();
  return *done;
}

Status DeviceHarness::Notify(uint16_t queue) {
  Status status = device_.OnQueueNotified(static_cast<QueueIndex>(queue));
  while (status && !signals_.again.empty()) {
    const std::vector<QueueIndex> again = std::exchange(signals_.again, {});
    for (const QueueIndex index : again) {
      if (status) status = device_.OnQueueNotified(index);
    }
  }
  return status;
}

}  // namespace hull
