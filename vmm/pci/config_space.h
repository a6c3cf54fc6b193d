// ConfigSpace: the 256 bytes of a function's configuration registers, with a mask of the bits that
// the guest may change. PCI Local Bus Specification 3.0, chapter 6.
//
// No lock of its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "vmm/pci/function.h"

namespace hull::pci {

class ConfigSpace {
 public:
  // Little-endian, 1, 2 or 4 bytes, inside of the space.
  uint32_t Read(uint32_t offset, size_t size_bytes) const;
  // Changes the writable bits alone.
  void Write(uint32_t offset, size_t size_bytes, uint32_t value);

  // For whoever owns the space: any bit.
  void Set(uint32_t offset, size_t size_bytes, uint32_t value);
  // Which bits the guest may change; none at first.
  void SetWritable(uint32_t offset, size_t size_bytes, uint32_t mask);

 private:
  std::array<uint8_t, kConfigBytes> bytes_ = {};
  std::array<uint8_t, kConfigBytes> writable_ = {};
};

// The bits of a value of `size_bytes` (1 to 4).
constexpr uint32_t ValueMask(size_t size_bytes) {
  return size_bytes >= 4 ? ~uint32_t{0} : (uint32_t{1} << (8 * size_bytes)) - 1;
}

// Whether an access at `offset` touches [start, start + length_bytes).
constexpr bool Touches(uint32_t offset, size_t size_bytes, uint32_t start, uint32_t length_bytes) {
  return offset < start + length_bytes && start < offset + size_bytes;
}

}  // namespace hull::pci
