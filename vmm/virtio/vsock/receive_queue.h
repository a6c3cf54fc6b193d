// ReceiveQueue: the driver's receive buffers as places for packets.
//
// Buffers that were looked at and not used are kept for the next packet, so that one read from a
// host socket can be spread over many of them whatever comes. Owned by the device while the driver
// is ready; I/O loop.
#pragma once

#include <cstdint>
#include <deque>
#include <utility>

#include "vmm/base/result.h"
#include "vmm/memory/guest_slice.h"
#include "vmm/virtio/virt_queue.h"
#include "vmm/virtio/vsock/packet.h"

namespace hull::vsock {

class ReceiveQueue {
 public:
  explicit ReceiveQueue(VirtQueue queue) : queue_(std::move(queue)) {}
  ~ReceiveQueue();
  ReceiveQueue(ReceiveQueue&&) noexcept = default;
  ReceiveQueue& operator=(ReceiveQueue&&) = delete;

  // All errors mean that the ring or its buffers are not credible (DEVICE_NEEDS_RESET).

  // Whether there is a buffer now. When not, the driver will notify.
  Result<bool> HasRoom();
  // Sends a packet without payload. Only after HasRoom().
  void SendControl(const Header& header);

  // Appends to `vectors` places for at most `limit` bytes of payload, as far as the driver has
  // given buffers. Nothing appended: no room.
  Status Gather(uint32_t limit, IoVectors& vectors);
  // Sends the first `bytes` of what was gathered last as packets, one for each buffer. `header`
  // makes the header for a packet of so many bytes.
  template <typename MakeHeader>
  void SendGathered(uint32_t bytes, MakeHeader header) {
    while (bytes > 0) {
      const uint32_t part = NextCapacity(bytes);
      SendFront(header(part), part);
      bytes -= part;
    }
  }

  // Whether something was sent since the last NotifyGuest.
  bool has_sent() const { return has_sent_; }
  // Interrupts if something was sent and the driver wants to know; returns whether it did.
  bool NotifyGuest() {
    has_sent_ = false;
    return queue_.NotifyGuest();
  }

 private:
  Result<bool> PopOne();
  uint32_t NextCapacity(uint32_t limit) const;
  void SendFront(const Header& header, uint32_t payload_bytes);

  VirtQueue queue_;
  std::deque<DescriptorChain> buffers_;  // popped, untouched; at most the queue's size
  IoVectors scratch_;
  bool has_sent_ = false;
};

}  // namespace hull::vsock
