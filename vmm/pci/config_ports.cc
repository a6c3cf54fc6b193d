#include "vmm/pci/config_ports.h"

#include <algorithm>
#include <cstring>

#include "vmm/base/check.h"

namespace hull::pci {
namespace {

constexpr uint64_t kDataOffset = 4;
constexpr uint64_t kResetOffset = 1;
constexpr size_t kDwordBytes = 4;

constexpr uint32_t kEnable = 1U << 31U;
// AMD's processors find bits 8 to 11 of an extended register's number here. There is none.
constexpr uint32_t kExtendedRegister = 0x0f00'0000;
constexpr uint32_t kBus = 0x00ff'0000;
constexpr uint32_t kFunctionNumber = 0x0700;
constexpr uint32_t kReserved = 0x7000'0003;

bool IsReset(uint64_t offset, size_t size_bytes) {
  return offset == kResetOffset && size_bytes == 1;
}

bool IsAddress(uint64_t offset, size_t size_bytes) {
  return offset == 0 && size_bytes == kDwordBytes;
}

// A configuration access: whole, and inside of one dword.
bool IsData(uint64_t offset, size_t size_bytes) {
  return offset >= kDataOffset && (size_bytes == 1 || size_bytes == 2 || size_bytes == 4) &&
         offset - kDataOffset + size_bytes <= kDwordBytes;
}

}  // namespace

void ConfigPorts::Insert(uint32_t slot, Function& function) {
  HULL_CHECK(slot < kSlots && functions_[slot] == nullptr);
  functions_[slot] = &function;
}

ConfigPorts::Selected ConfigPorts::Select() const {
  uint32_t address = 0;
  {
    const std::lock_guard lock(mutex_);
    address = address_;
  }
  if ((address & kEnable) == 0 || (address & (kExtendedRegister | kBus | kFunctionNumber)) != 0) {
    return {nullptr, 0};
  }
  return {functions_[(address >> 11U) & (kSlots - 1)], address & 0xfcU};
}

void ConfigPorts::Read(uint64_t offset, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0xff});
  if (IsReset(offset, data.size())) {
    reset_port_.Read(0, data);
    return;
  }
  uint32_t value = 0;
  if (IsAddress(offset, data.size())) {
    const std::lock_guard lock(mutex_);
    value = address_;
  } else {
    if (!IsData(offset, data.size())) return;
    const Selected selected = Select();
    if (selected.function == nullptr) return;
    value = selected.function->ReadConfig(
        selected.dword + static_cast<uint32_t>(offset - kDataOffset), data.size());
  }
  std::memcpy(data.data(), &value, data.size());
}

void ConfigPorts::Write(uint64_t offset, std::span<const std::byte> data) {
  if (IsReset(offset, data.size())) {
    reset_port_.Write(0, data);
    return;
  }
  const bool is_address = IsAddress(offset, data.size());
  if (!is_address && !IsData(offset, data.size())) return;
  uint32_t value = 0;
  std::memcpy(&value, data.data(), data.size());
  if (is_address) {
    const std::lock_guard lock(mutex_);
    address_ = value & ~kReserved;
    return;
  }
  const Selected selected = Select();
  if (selected.function == nullptr) return;
  selected.function->WriteConfig(selected.dword + static_cast<uint32_t>(offset - kDataOffset),
                                 data.size(), value);
}

}  // namespace hull::pci
