// BusDevice: what answers a vCPU's access to a stretch of addresses (MMIO or ports).
//
// Called on vCPU threads, several at once: an implementation locks what it shares, and does not
// wait for the guest. `offset` is from the start of the device's range and offset + size is inside
// it; the size is 1, 2, 4 or 8 bytes for KVM's exits but is the guest's choice, as is the
// alignment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace hull {

class BusDevice {
 public:
  virtual ~BusDevice() = default;

  // Fills all of `data`, little-endian.
  virtual void Read(uint64_t offset, std::span<std::byte> data) = 0;
  virtual void Write(uint64_t offset, std::span<const std::byte> data) = 0;
};

}  // namespace hull
