#include "vmm/machine/system_control.h"

#include <algorithm>
#include <cstring>

namespace hull {
namespace {

// Bit 2 of port 0xcf9 resets the processor; bits 1 and 3 say how hard.
constexpr std::byte kResetProcessor{0x04};
constexpr std::byte kPulseReset{0xfe};

void FillZero(std::span<std::byte> data) {
  std::fill(data.begin(), data.end(), std::byte{0});
}

}  // namespace

void SystemControlPage::Read(uint64_t offset, std::span<std::byte> data) {
  FillZero(data);
  if (offset == kPanicOffset) {
    data[0] = std::byte{kPanicked};
    events_.OnPanicDriverFound();
  }
}

void SystemControlPage::Write(uint64_t offset, std::span<const std::byte> data) {
  if (offset == kPanicOffset && data.size() == 1) {
    if ((data[0] & std::byte{kPanicked}) != std::byte{0}) events_.OnPanic();
    return;
  }
  uint32_t value = 0;
  if (offset != kPowerOffset || data.size() != sizeof(value)) return;
  std::memcpy(&value, data.data(), sizeof(value));
  if (value == kPowerOffValue) events_.OnPowerOff();
  if (value == kResetValue) events_.OnReset();
}

void ResetPort::Read(uint64_t /*offset*/, std::span<std::byte> data) {
  FillZero(data);
}

void ResetPort::Write(uint64_t /*offset*/, std::span<const std::byte> data) {
  if (data.size() == 1 && (data[0] & kResetProcessor) != std::byte{0}) events_.OnReset();
}

void KeyboardPort::Read(uint64_t /*offset*/, std::span<std::byte> data) {
  FillZero(data);
}

void KeyboardPort::Write(uint64_t /*offset*/, std::span<const std::byte> data) {
  if (data.size() == 1 && data[0] == kPulseReset) events_.OnReset();
}

}  // namespace hull
