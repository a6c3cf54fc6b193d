// FakeSignals: remembers what a device or a queue told the driver.
#pragma once

#include <string>
#include <vector>

#include "vmm/virtio/driver_signals.h"

namespace hull {

class FakeSignals final : public DriverSignals {
 public:
  void UsedBuffers() override { ++used_buffers; }
  void ConfigChanged() override { ++config_changes; }
  void NotifyAgain(QueueIndex queue) override { again.push_back(queue); }
  void NeedsReset(const Error& why) override { faults.push_back(why.ToString()); }

  int used_buffers = 0;
  int config_changes = 0;
  std::vector<QueueIndex> again;
  std::vector<std::string> faults;
};

}  // namespace hull
