// Lets a HostileGuest drive a device: what must hold is that nothing aborts, that a device stays
// silent after an error, and that a reset makes it as good as new.
#pragma once

#include <functional>

#include "tests/fakes/device_harness.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/hostile_guest.h"
#include "vmm/base/check.h"

namespace hull {

// `host_acts` does what the host's side of the device may do, out of the same bytes; may be null.
inline void FuzzDevice(VirtioDevice& device, FuzzInput& input, HostileGuest::RingMemory ring_memory,
                       const std::function<void(FuzzInput&)>& host_acts) {
  SilenceLog();
  DeviceHarness harness(device);
  HostileGuest guest(input, ring_memory);
  HULL_CHECK(harness.Activate().has_value());
  const auto queues = static_cast<uint32_t>(device.queue_sizes().size());
  bool stopped = false;
  while (!input.empty()) {
    const auto queue = static_cast<uint16_t>(input.Below(queues));
    switch (input.Below(8)) {
      case 0:
      case 1:
        if (!stopped) stopped = !harness.Notify(queue) || !harness.signals().faults.empty();
        break;
      case 2:
        if (host_acts) host_acts(input);
        break;
      case 3:
        if (input.Below(8) != 0) break;
        HULL_CHECK(harness.Reset());
        HULL_CHECK(harness.Activate().has_value());
        stopped = false;
        break;
      default:
        guest.Act(harness.ring(queue));
        break;
    }
  }
  HULL_CHECK(harness.Reset());
  HULL_CHECK(harness.Activate().has_value());
  for (uint16_t queue = 0; queue < queues; ++queue) {
    HULL_CHECK(harness.Notify(queue).has_value());
  }
}

}  // namespace hull
