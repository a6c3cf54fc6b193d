#include "vmm/pci/config_space.h"

#include "vmm/base/check.h"

namespace hull::pci {
namespace {

bool Fits(uint32_t offset, size_t size_bytes) {
  return size_bytes <= 4 && offset <= kConfigBytes - size_bytes;
}

uint8_t ByteOf(uint32_t value, size_t index) {
  return static_cast<uint8_t>(value >> (8 * index));
}

}  // namespace

uint32_t ConfigSpace::Read(uint32_t offset, size_t size_bytes) const {
  HULL_CHECK(Fits(offset, size_bytes));
  uint32_t value = 0;
  for (size_t i = 0; i < size_bytes; ++i) value |= uint32_t{bytes_[offset + i]} << (8 * i);
  return value;
}

void ConfigSpace::Write(uint32_t offset, size_t size_bytes, uint32_t value) {
  HULL_CHECK(Fits(offset, size_bytes));
  for (size_t i = 0; i < size_bytes; ++i) {
    const uint8_t mask = writable_[offset + i];
    bytes_[offset + i] =
        static_cast<uint8_t>((bytes_[offset + i] & ~mask) | (ByteOf(value, i) & mask));
  }
}

void ConfigSpace::Set(uint32_t offset, size_t size_bytes, uint32_t value) {
  HULL_CHECK(Fits(offset, size_bytes));
  for (size_t i = 0; i < size_bytes; ++i) bytes_[offset + i] = ByteOf(value, i);
}

void ConfigSpace::SetWritable(uint32_t offset, size_t size_bytes, uint32_t mask) {
  HULL_CHECK(Fits(offset, size_bytes));
  for (size_t i = 0; i < size_bytes; ++i) writable_[offset + i] = ByteOf(mask, i);
}

}  // namespace hull::pci
