// VirtQueue: the device's side of one split virtqueue (virtio 1.2, 2.7).
//
// VirtQueueConfig is what the driver has written into registers; Activate makes a VirtQueue of it,
// so that a VirtQueue exists only if its size, alignment and memory are right. A queue lives on the
// I/O loop.
//
// Our own positions in the rings are private and never read back from guest memory. A ring that
// cannot be believed (a chain that loops, an address outside memory, an index that jumped) is an
// error from Pop: the device returns it, the transport sets DEVICE_NEEDS_RESET, the VM lives.
//
// Interrupts: Complete publishes at once but never interrupts; NotifyGuest at the end of a batch
// interrupts once if the driver wants to know of any of it.
// Notifications: while Pop finds chains the driver need not notify; a Pop that finds nothing has
// asked the driver to notify for the next one (VIRTIO_F_EVENT_IDX or VIRTQ_USED_F_NO_NOTIFY).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/memory/guest_memory.h"
#include "vmm/virtio/descriptor_chain.h"
#include "vmm/virtio/driver_signals.h"
#include "vmm/virtio/queue_index.h"

namespace hull {

class VirtQueue;

// Registers of one queue, as the driver left them.
struct VirtQueueConfig {
  uint16_t maximum_size = 0;  // the device's choice, a power of two
  uint32_t size = 0;
  GuestAddress descriptor_table;
  GuestAddress available_ring;
  GuestAddress used_ring;
  bool ready = false;

  // kInvalidArgument when the driver's values do not make a queue. `features` are the negotiated
  // ones; `memory` and `driver` outlive the queue.
  Result<VirtQueue> Activate(const GuestMemory& memory, uint64_t features,
                             DriverSignals& driver) const;
};

class VirtQueue {
 public:
  VirtQueue(VirtQueue&&) noexcept = default;
  VirtQueue& operator=(VirtQueue&&) noexcept = default;
  ~VirtQueue() = default;

  // The next chain; nullopt when there is none (the driver will notify); an error when the ring is
  // not credible, from then on always. No more than size() chains are ever out at once, and no
  // chain has more than size() descriptors.
  Result<std::optional<DescriptorChain>> Pop();

  // Undoes the last Pop: the chain comes again, from its beginning. Only the chain popped last, and
  // only while nothing was written to it that the driver could see.
  void PutBack(DescriptorChain chain);

  // Gives the chain back to the driver with the used length that its writer counted.
  void Complete(DescriptorChain chain);

  // Interrupts if the driver asked to be told of anything completed since the last call; returns
  // whether it did. A device's queues share the interrupt, so one tells the driver of all of them.
  bool NotifyGuest();

  uint16_t size() const { return size_; }
  // Chains popped and not yet given back.
  uint16_t in_flight() const { return in_flight_; }

 private:
  friend struct VirtQueueConfig;

  VirtQueue() = default;

  // Whether next_available_ is there to pop; an error when the driver's index is not credible.
  Result<bool> HasAvailable();
  void AskForNotification();
  void DeclineNotification();
  tl::unexpected<Error> Break(Error why);
  std::unique_ptr<DescriptorChain::Body> TakeBody();
  void RecycleBody(std::unique_ptr<DescriptorChain::Body> body);

  const GuestMemory* memory_ = nullptr;
  DriverSignals* driver_ = nullptr;
  GuestSlice table_;
  GuestSlice available_;
  GuestSlice used_;
  uint64_t serial_ = 0;
  uint16_t size_ = 0;
  bool event_index_ = false;
  bool indirect_ = false;
  bool broken_ = false;
  bool asked_ = false;           // the driver will notify when it passes next_available_
  uint16_t next_available_ = 0;  // the first entry not yet popped
  uint16_t seen_available_ = 0;  // avail.idx as last read and checked
  uint16_t next_used_ = 0;
  uint16_t signalled_used_ = 0;  // next_used_ when NotifyGuest last ran
  uint16_t in_flight_ = 0;
  std::vector<std::unique_ptr<DescriptorChain::Body>> spare_bodies_;
};

}  // namespace hull
