#include "vmm/machine/debug_port.h"

#include <algorithm>

namespace hull {
namespace {

// Registers of a 16550.
constexpr uint64_t kTransmit = 0;
constexpr uint64_t kLineControl = 3;
constexpr uint64_t kLineStatus = 5;
constexpr std::byte kDivisorLatch{0x80};
constexpr std::byte kTransmitterEmpty{0x60};

}  // namespace

std::string DebugPort::Output() const {
  const std::lock_guard lock(mutex_);
  return output_.Content();
}

void DebugPort::Read(uint64_t offset, std::span<std::byte> data) {
  std::fill(data.begin(), data.end(), std::byte{0});
  if (offset == kLineStatus) data[0] = kTransmitterEmpty;
}

void DebugPort::Write(uint64_t offset, std::span<const std::byte> data) {
  if (data.size() != 1) return;
  const std::lock_guard lock(mutex_);
  if (offset == kLineControl) divisor_access_ = (data[0] & kDivisorLatch) != std::byte{0};
  if (offset != kTransmit || divisor_access_) return;
  output_.Append(data);
  if (sink_) sink_(data);
}

}  // namespace hull
