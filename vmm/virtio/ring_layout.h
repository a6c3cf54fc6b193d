// The split virtqueue in memory (virtio 1.2, 2.7): Linux's structures and flags, and where things
// are.
#pragma once

// Leaves out helpers that are not C++.
#ifndef VIRTIO_RING_NO_LEGACY
#define VIRTIO_RING_NO_LEGACY
#endif
#include <linux/virtio_ring.h>

#include <cstdint>

namespace hull::ring {

static_assert(sizeof(::vring_desc) == 16);
static_assert(sizeof(::vring_used_elem) == 8);

// In both rings.
inline constexpr uint64_t kFlagsOffset = 0;
inline constexpr uint64_t kIndexOffset = 2;
inline constexpr uint64_t kEntriesOffset = 4;

constexpr uint64_t TableBytes(uint64_t size) {
  return 16 * size;
}
constexpr uint64_t AvailableBytes(uint64_t size) {
  return 6 + 2 * size;
}
constexpr uint64_t UsedBytes(uint64_t size) {
  return 6 + 8 * size;
}

constexpr uint64_t AvailableEntryOffset(uint64_t slot) {
  return kEntriesOffset + 2 * slot;
}
constexpr uint64_t UsedEntryOffset(uint64_t slot) {
  return kEntriesOffset + 8 * slot;
}
// The word behind the last entry (2.7.10): used_event in the available ring, avail_event in the
// used one.
constexpr uint64_t UsedEventOffset(uint64_t size) {
  return AvailableEntryOffset(size);
}
constexpr uint64_t AvailableEventOffset(uint64_t size) {
  return UsedEntryOffset(size);
}

}  // namespace hull::ring
