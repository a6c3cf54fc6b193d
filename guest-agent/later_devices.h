// Devices that the machine offers but that the kernel leaves alone while it boots: what only a
// guest that lives for a while has use for (the balloon), so that one that does not pays nothing
// for it.
#pragma once

#include <chrono>
#include <string>

namespace hull::agent {

// After the guest was ready. A container that only says hello is over by then.
inline constexpr std::chrono::milliseconds kLaterDevicesDelay{1000};

// Has the kernel's virtio-mmio driver take each platform device whose node in the device tree is
// compatible with "hull,virtio-mmio-later". `sysfs`: "/sys", or what a test has instead. Returns
// how many it took; a failure is logged, for nothing depends on them.
int BindLaterDevices(const std::string& sysfs);

}  // namespace hull::agent
