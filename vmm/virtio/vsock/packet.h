// The packet header of virtio-vsock (virtio 1.2, 5.10.6): every packet in either queue begins with
// one.
#pragma once

#include <linux/virtio_vsock.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/virtio/queue_index.h"

namespace hull::vsock {

// The header as it lies in guest memory: little-endian, packed, 44 bytes.
using WireHeader = virtio_vsock_hdr;
static_assert(sizeof(WireHeader) == 44);
static_assert(offsetof(WireHeader, src_cid) == 0);
static_assert(offsetof(WireHeader, dst_cid) == 8);
static_assert(offsetof(WireHeader, src_port) == 16);
static_assert(offsetof(WireHeader, dst_port) == 20);
static_assert(offsetof(WireHeader, len) == 24);
static_assert(offsetof(WireHeader, type) == 28);
static_assert(offsetof(WireHeader, op) == 30);
static_assert(offsetof(WireHeader, flags) == 32);
static_assert(offsetof(WireHeader, buf_alloc) == 36);
static_assert(offsetof(WireHeader, fwd_cnt) == 40);

inline constexpr size_t kHeaderBytes = sizeof(WireHeader);
using HeaderBytes = std::array<std::byte, kHeaderBytes>;

// virtio 1.2, 5.10.2.
inline constexpr QueueIndex kReceiveQueue{0};
inline constexpr QueueIndex kTransmitQueue{1};
inline constexpr QueueIndex kEventQueue{2};

// The host's own context id (virtio 1.2, 5.10.4).
inline constexpr uint64_t kHostCid = 2;
// A header in the host's byte order. Nothing in it has been checked.
struct Header {
  uint64_t source_cid = 0;
  uint64_t destination_cid = 0;
  uint32_t source_port = 0;
  uint32_t destination_port = 0;
  uint32_t payload_bytes = 0;
  uint16_t type = VIRTIO_VSOCK_TYPE_STREAM;
  uint16_t op = VIRTIO_VSOCK_OP_INVALID;
  uint32_t flags = 0;
  uint32_t buf_alloc = 0;
  uint32_t fwd_cnt = 0;

  bool operator==(const Header&) const = default;
};

Header Decode(std::span<const std::byte, kHeaderBytes> bytes);
HeaderBytes Encode(const Header& header);

}  // namespace hull::vsock
