#include "tests/fakes/device_faults.h"

#include <array>
#include <cstddef>

namespace hull {
namespace {

// A ring of two entries has no room for a sum of 4 GiB.
constexpr uint16_t kSmallestRing = 64;

}  // namespace

void ExpectDeviceSurvives(const DeviceMaker& make, const RingFault& fault) {
  const std::unique_ptr<VirtioDevice> device = make();
  const size_t queues = device->queue_sizes().size();
  bool any_reported = false;
  for (uint16_t queue = 0; queue < queues; ++queue) {
    SCOPED_TRACE(testing::Message() << "queue " << queue);
    if (device->queue_sizes()[queue] < kSmallestRing && fault.name == "LargeSum") continue;
    DeviceHarness harness(*device);
    ASSERT_TRUE(harness.Activate());
    fault.commit(harness.ring(queue));
    const bool returned = !harness.Notify(queue).has_value();
    const bool reported = returned || !harness.signals().faults.empty();
    any_reported = any_reported || reported;
    EXPECT_FALSE(harness.ring(queue).TakeUsed().has_value());
    ASSERT_TRUE(harness.Reset());
    ASSERT_TRUE(harness.Activate());
    EXPECT_TRUE(harness.Notify(queue));
    ASSERT_TRUE(harness.Reset());
  }
  EXPECT_TRUE(any_reported);
}

void ExpectConfigSpaceIsSafe(const DeviceMaker& make) {
  const std::unique_ptr<VirtioDevice> device = make();
  std::array<std::byte, 16> data;
  for (const uint64_t start : {uint64_t{0}, uint64_t{0xdf0}, UINT64_MAX - 8}) {
    for (uint64_t step = 0; step < 300 && start + step >= start; ++step) {
      for (const size_t size :
           {size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{4}, size_t{8}, data.size()}) {
        data.fill(std::byte{0xee});
        device->ReadConfig(start + step, std::span(data).first(size));
        if (start == 0) continue;
        for (size_t i = 0; i < size; ++i) ASSERT_EQ(data[i], std::byte{0}) << start + step;
        device->WriteConfig(start + step, std::span(data).first(size));
      }
    }
  }
}

void ExpectResetsAreFine(const DeviceMaker& make) {
  const std::unique_ptr<VirtioDevice> device = make();
  DeviceHarness harness(*device);
  EXPECT_TRUE(harness.Reset());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(harness.Activate());
    EXPECT_TRUE(harness.Reset());
    EXPECT_TRUE(harness.Reset());
  }
}

}  // namespace hull
