#include "vmm/bus/bus.h"

#include <algorithm>

#include "vmm/base/checked.h"

namespace hull {

Status Bus::Insert(uint64_t base, uint64_t size_bytes, BusDevice& device, std::string name) {
  if (size_bytes == 0 || !CheckedAdd(base, size_bytes)) {
    return Fail(ErrorCode::kInvalidArgument, "{} cannot have {} bytes at {:#x}", name, size_bytes,
                base);
  }
  const auto next =
      std::ranges::upper_bound(entries_, base, {}, [](const Entry& entry) { return entry.base; });
  const Entry* overlapped = nullptr;
  if (next != entries_.end() && next->base - base < size_bytes) overlapped = &*next;
  if (next != entries_.begin()) {
    const Entry& before = *std::prev(next);
    if (base - before.base < before.size_bytes) overlapped = &before;
  }
  if (overlapped != nullptr) {
    return Fail(ErrorCode::kAlreadyExists, "{} at {:#x} overlaps {} at {:#x}", name, base,
                overlapped->name, overlapped->base);
  }
  entries_.insert(next, Entry{base, size_bytes, &device, std::move(name)});
  return {};
}

bool Bus::Read(uint64_t address, std::span<std::byte> data) const {
  const Entry* const entry = Find(address, data.size());
  if (entry == nullptr) {
    std::ranges::fill(data, std::byte{0xff});
    return false;
  }
  entry->device->Read(address - entry->base, data);
  return true;
}

bool Bus::Write(uint64_t address, std::span<const std::byte> data) const {
  const Entry* const entry = Find(address, data.size());
  if (entry == nullptr) return false;
  entry->device->Write(address - entry->base, data);
  return true;
}

const Bus::Entry* Bus::Find(uint64_t address, size_t size_bytes) const {
  const auto next = std::ranges::upper_bound(entries_, address, {},
                                             [](const Entry& entry) { return entry.base; });
  if (next == entries_.begin()) return nullptr;
  const Entry& entry = *std::prev(next);
  const uint64_t offset = address - entry.base;
  if (offset >= entry.size_bytes || size_bytes > entry.size_bytes - offset) return nullptr;
  return &entry;
}

}  // namespace hull
