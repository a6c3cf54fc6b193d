#include "vmm/virtio/virtio_device.h"

#include <algorithm>

namespace hull {

void VirtioDevice::WriteConfig(uint64_t /*offset*/, std::span<const std::byte> /*data*/) {}

void ReadConfigFrom(std::span<const std::byte> config, uint64_t offset, std::span<std::byte> out) {
  std::ranges::fill(out, std::byte{0});
  if (offset >= config.size()) return;
  const std::span<const std::byte> rest = config.subspan(offset);
  std::ranges::copy(rest.first(std::min(rest.size(), out.size())), out.begin());
}

}  // namespace hull
