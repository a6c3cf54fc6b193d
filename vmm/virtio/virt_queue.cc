#include "vmm/virtio/virt_queue.h"

#include <linux/virtio_config.h>

#include <atomic>
#include <bit>

#include "vmm/base/check.h"
#include "vmm/virtio/chain_walk.h"
#include "vmm/virtio/ring_layout.h"

namespace hull {
namespace {

// Bodies kept for the next chain: enough for a busy queue, little for one that was busy once.
constexpr size_t kSpareBodies = 64;
constexpr size_t kSpareSlices = 32;

constexpr bool HasFeature(uint64_t features, unsigned bit) {
  return ((features >> bit) & 1U) != 0;
}

// Orders our stores to guest memory before our following loads from it.
void FullFence() {
#if defined(__SANITIZE_THREAD__)
  // ThreadSanitizer does not know fences; a locked operation is one on every host that hull has.
  static std::atomic<int> word;
  word.fetch_add(0, std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

std::atomic<uint64_t> g_last_serial = 0;

}  // namespace

Result<VirtQueue> VirtQueueConfig::Activate(const GuestMemory& memory, uint64_t features,
                                            DriverSignals& driver) const {
  if (!ready) return Fail(ErrorCode::kInvalidArgument, "it is not ready");
  if (!std::has_single_bit(size) || size > maximum_size) {
    return Fail(ErrorCode::kInvalidArgument, "a size of {}, not a power of two up to {}", size,
                maximum_size);
  }
  // 2.7: the alignment of each part.
  if (!descriptor_table.IsAligned(VRING_DESC_ALIGN_SIZE) ||
      !available_ring.IsAligned(VRING_AVAIL_ALIGN_SIZE) ||
      !used_ring.IsAligned(VRING_USED_ALIGN_SIZE)) {
    return Fail(ErrorCode::kInvalidArgument, "a ring is not aligned: {:#x}, {:#x}, {:#x}",
                descriptor_table.value(), available_ring.value(), used_ring.value());
  }
  const auto table = memory.Readable(descriptor_table, ring::TableBytes(size));
  const auto available = memory.Readable(available_ring, ring::AvailableBytes(size));
  const auto used = memory.Writable(used_ring, ring::UsedBytes(size));
  if (!table || !available || !used) {
    return Fail(ErrorCode::kInvalidArgument, "a ring is outside of memory: {:#x}, {:#x}, {:#x}",
                descriptor_table.value(), available_ring.value(), used_ring.value());
  }
  VirtQueue queue;
  queue.memory_ = &memory;
  queue.driver_ = &driver;
  queue.table_ = *table;
  queue.available_ = *available;
  queue.used_ = *used;
  queue.serial_ = g_last_serial.fetch_add(1, std::memory_order_relaxed) + 1;
  queue.size_ = static_cast<uint16_t>(size);
  queue.event_index_ = HasFeature(features, VIRTIO_RING_F_EVENT_IDX);
  queue.indirect_ = HasFeature(features, VIRTIO_RING_F_INDIRECT_DESC);
  queue.AskForNotification();
  return queue;
}

Result<std::optional<DescriptorChain>> VirtQueue::Pop() {
  if (broken_) return Fail(ErrorCode::kCorrupt, "the queue is broken");
  HULL_ASSIGN(bool found, HasAvailable());
  if (!found) {
    // The driver may have added one between our look and our request to be told: look again.
    AskForNotification();
    HULL_ASSIGN(found, HasAvailable());
    if (!found) return std::nullopt;
  }
  DeclineNotification();
  // Driver and device have as many descriptors as the queue has entries: more chains than that at
  // once are one descriptor in two chains. Also what bounds our memory for them.
  if (in_flight_ >= size_) {
    return Break(MakeError(ErrorCode::kCorrupt, "more than {} chains at once", size_));
  }
  const uint64_t slot = next_available_ & (size_ - 1U);
  std::unique_ptr<DescriptorChain::Body> body = TakeBody();
  body->head = available_.LoadRelaxed16(ring::AvailableEntryOffset(slot));
  body->place = next_available_;
  body->queue_serial = serial_;
  Status followed = ChainWalk(*memory_, indirect_, size_, *body).Follow(table_, body->head);
  if (!followed) return Break(std::move(followed).error());
  ++next_available_;
  ++in_flight_;
  asked_ = false;
  return std::optional(DescriptorChain(std::move(body)));
}

void VirtQueue::PutBack(DescriptorChain chain) {
  std::unique_ptr<DescriptorChain::Body> body = std::move(chain.body_);
  HULL_CHECK(body != nullptr && body->queue_serial == serial_);
  HULL_CHECK(body->place == static_cast<uint16_t>(next_available_ - 1));
  --next_available_;
  --in_flight_;
  asked_ = false;
  RecycleBody(std::move(body));
}

void VirtQueue::Complete(DescriptorChain chain) {
  std::unique_ptr<DescriptorChain::Body> body = std::move(chain.body_);
  HULL_CHECK(body != nullptr && body->queue_serial == serial_);
  const uint64_t slot = next_used_ & (size_ - 1U);
  used_.WriteObject(ring::UsedEntryOffset(slot),
                    ::vring_used_elem{.id = body->head, .len = body->writer.used_bytes()});
  ++next_used_;
  // 2.7.8.2: the element and the buffers are visible before the index.
  used_.StoreRelease16(ring::kIndexOffset, next_used_);
  --in_flight_;
  RecycleBody(std::move(body));
}

bool VirtQueue::NotifyGuest() {
  if (next_used_ == signalled_used_) return false;
  const auto since = static_cast<uint16_t>(next_used_ - signalled_used_);
  signalled_used_ = next_used_;
  // The driver stores used_event and then looks at used.idx; we store used.idx and then look at
  // used_event. Without the fence both could miss the other's store, and the interrupt be lost.
  FullFence();
  if (event_index_) {
    const uint16_t used_event = available_.LoadRelaxed16(ring::UsedEventOffset(size_));
    // 2.7.10: whether used_event is among the entries completed since the last call.
    if (static_cast<uint16_t>(next_used_ - used_event - 1) >= since) return false;
  } else if ((available_.LoadRelaxed16(ring::kFlagsOffset) & VRING_AVAIL_F_NO_INTERRUPT) != 0) {
    return false;
  }
  driver_->UsedBuffers();
  return true;
}

Result<bool> VirtQueue::HasAvailable() {
  if (seen_available_ != next_available_) return true;
  const uint16_t index = available_.LoadAcquire16(ring::kIndexOffset);
  if (static_cast<uint16_t>(index - next_available_) > size_) {
    return Break(MakeError(ErrorCode::kCorrupt, "avail.idx went from {} to {} in a queue of {}",
                           seen_available_, index, size_));
  }
  seen_available_ = index;
  return index != next_available_;
}

void VirtQueue::AskForNotification() {
  if (asked_) return;
  asked_ = true;
  if (event_index_) {
    used_.StoreRelaxed16(ring::AvailableEventOffset(size_), next_available_);
  } else {
    used_.StoreRelaxed16(ring::kFlagsOffset, 0);
  }
  FullFence();
}

void VirtQueue::DeclineNotification() {
  // With an event index, staying silent about newer entries is declining.
  if (asked_ && !event_index_) used_.StoreRelaxed16(ring::kFlagsOffset, VRING_USED_F_NO_NOTIFY);
  asked_ = false;
}

tl::unexpected<Error> VirtQueue::Break(Error why) {
  broken_ = true;
  return Fail(std::move(why));
}

std::unique_ptr<DescriptorChain::Body> VirtQueue::TakeBody() {
  if (spare_bodies_.empty()) return std::make_unique<DescriptorChain::Body>();
  std::unique_ptr<DescriptorChain::Body> body = std::move(spare_bodies_.back());
  spare_bodies_.pop_back();
  return body;
}

void VirtQueue::RecycleBody(std::unique_ptr<DescriptorChain::Body> body) {
  if (spare_bodies_.size() >= kSpareBodies || body->slices.capacity() > kSpareSlices) return;
  std::vector<GuestSlice> slices = std::move(body->slices);
  slices.clear();
  *body = DescriptorChain::Body();
  body->slices = std::move(slices);
  spare_bodies_.push_back(std::move(body));
}

}  // namespace hull
