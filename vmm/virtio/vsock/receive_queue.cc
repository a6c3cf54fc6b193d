#include "vmm/virtio/vsock/receive_queue.h"

#include <algorithm>
#include <optional>

namespace hull::vsock {

ReceiveQueue::~ReceiveQueue() {
  // The driver has reset the device and does not wait for them.
  for (DescriptorChain& buffer : buffers_) std::move(buffer).Abandon();
}

Result<bool> ReceiveQueue::PopOne() {
  HULL_ASSIGN(std::optional<DescriptorChain> chain, queue_.Pop());
  if (!chain) return false;
  // virtio 1.2, 5.10.6.4: buffers for incoming packets are write-only. One without room for a
  // header and a byte could never be used.
  if (chain->readable_bytes() != 0 || chain->writable_bytes() <= kHeaderBytes) {
    const uint64_t readable = chain->readable_bytes();
    const uint64_t writable = chain->writable_bytes();
    std::move(*chain).Abandon();
    return Fail(ErrorCode::kInvalidArgument,
                "receive buffer has {} readable and {} writable bytes, not 0 and more than {}",
                readable, writable, kHeaderBytes);
  }
  buffers_.push_back(std::move(*chain));
  return true;
}

Result<bool> ReceiveQueue::HasRoom() {
  if (!buffers_.empty()) return true;
  return PopOne();
}

void ReceiveQueue::SendControl(const Header& header) {
  SendFront(header, 0);
}

Status ReceiveQueue::Gather(uint32_t limit, IoVectors& vectors) {
  for (size_t i = 0; limit > 0 && !vectors.full(); ++i) {
    if (i == buffers_.size()) {
      HULL_ASSIGN(const bool popped, PopOne());
      if (!popped) break;
    }
    // A copy of the writer: the buffer stays untouched until it is known to be needed.
    ChainWriter place = buffers_[i].writer();
    scratch_.Clear();
    place.Take(kHeaderBytes, scratch_);
    limit -= static_cast<uint32_t>(place.Take(limit, vectors));
  }
  return {};
}

uint32_t ReceiveQueue::NextCapacity(uint32_t limit) const {
  // SAFETY of the arithmetic: PopOne has made sure of more than a header.
  return static_cast<uint32_t>(
      std::min<uint64_t>(limit, buffers_.front().writable_bytes() - kHeaderBytes));
}

void ReceiveQueue::SendFront(const Header& header, uint32_t payload_bytes) {
  DescriptorChain chain = std::move(buffers_.front());
  buffers_.pop_front();
  chain.writer().Write(Encode(header));
  // The payload is there already; what is taken here only counts as written.
  scratch_.Clear();
  chain.writer().Take(payload_bytes, scratch_);
  queue_.Complete(std::move(chain));
  has_sent_ = true;
}

}  // namespace hull::vsock
