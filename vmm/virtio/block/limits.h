// What the block device bounds.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hull::block {

// Requests in flight, and so everything that a request needs.
inline constexpr uint16_t kQueueSize = 128;
// One request's segments: the queue's size without header and status (virtio 1.2, 5.2.5.2).
inline constexpr uint32_t kMaxSegments = kQueueSize - 2;
inline constexpr uint32_t kMaxSegmentBytes = 1U << 20U;
// Requests looked at before other devices get their turn.
inline constexpr uint32_t kRequestsPerTurn = 2 * kQueueSize;

// Discard and write zeroes: ranges in a request, and sectors in a range (2 GiB).
inline constexpr size_t kMaxDiscardRanges = 32;
inline constexpr size_t kMaxWriteZeroesRanges = 1;
inline constexpr uint32_t kMaxRangeSectors = 1U << 22U;
// 4 KiB, what file systems give back.
inline constexpr uint32_t kDiscardAlignmentSectors = 8;
// Where a file system cannot zero a range, zeroes are written, so much at once.
inline constexpr size_t kZeroPageBytes = 4096;
inline constexpr size_t kZeroPagesAtOnce = 256;

}  // namespace hull::block
