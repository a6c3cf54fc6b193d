// FakeRing: the driver's side of one split virtqueue, as the specification has it or as a hostile
// guest would have it. Build chains with Chain(); break things with the raw functions.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fakes/fake_guest.h"
#include "vmm/virtio/virt_queue.h"

namespace hull {

class FakeRing {
 public:
  // One used entry.
  struct Used {
    uint32_t id;
    uint32_t length;
  };

  // Builds one chain: ring.Chain().Readable("header").Writable(512).Submit()
  class Builder {
   public:
    // A piece with this content; a piece of `size_bytes`; a piece wherever it is said to be.
    Builder& Readable(std::string_view content);
    Builder& Writable(uint32_t size_bytes);
    Builder& ReadableAt(GuestAddress at, uint32_t size_bytes);
    Builder& WritableAt(GuestAddress at, uint32_t size_bytes);
    // From here on the pieces are in an indirect table.
    Builder& Indirect();
    // Puts it into the available ring; returns its head.
    uint16_t Submit();
    // Writes the descriptors, but not the available ring.
    uint16_t Prepare();

   private:
    friend class FakeRing;
    struct Piece {
      GuestAddress at;
      uint32_t size_bytes;
      bool is_writable;
    };
    explicit Builder(FakeRing& ring) : ring_(ring) {}

    FakeRing& ring_;
    std::vector<Piece> pieces_;
    std::optional<size_t> indirect_from_;
  };

  // `features` decides on VIRTIO_RING_F_EVENT_IDX.
  FakeRing(FakeGuest& guest, uint16_t size, uint64_t features);

  FakeGuest& guest() { return guest_; }
  uint16_t size() const { return size_; }
  GuestAddress descriptor_table() const { return table_; }
  GuestAddress available_ring() const { return available_; }
  GuestAddress used_ring() const { return used_; }
  // As registers would have it, with `maximum_size` the ring's own size.
  VirtQueueConfig Config() const;

  Builder Chain() { return Builder(*this); }

  // The next used entry that was not taken yet; its descriptors are free again.
  std::optional<Used> TakeUsed();
  // What the writable pieces of the chain `head` hold, all of them, also after TakeUsed.
  std::string Written(uint32_t head) const;
  // The same, cut to the used length.
  std::string Written(const Used& used) const { return Written(used.id).substr(0, used.length); }

  // Whether the device wants to be notified of what was submitted since the last call.
  bool NotificationWanted();
  // With an event index: interrupt when the used entry `index` (0 is the first) is published.
  void AskForInterruptAt(uint16_t index);
  // Without: never or always.
  void AskForInterrupts(bool wanted);

  // Raw.
  void SetDescriptor(uint16_t index, uint64_t address, uint32_t length, uint16_t flags,
                     uint16_t next);
  void SetAvailableEntry(uint16_t slot, uint16_t head);
  void SetAvailableIndex(uint16_t index);
  // Publishes a head, whatever it is.
  void Publish(uint16_t head);
  uint16_t available_index() const { return next_available_; }
  uint16_t used_index() const;
  uint16_t used_flags() const;
  uint16_t available_event() const;

 private:
  uint16_t TakeDescriptor();
  void WriteDescriptor(GuestAddress at, uint64_t address, uint32_t length, uint16_t flags,
                       uint16_t next) const;
  GuestSlice Slice(GuestAddress at, uint64_t size_bytes) const;

  FakeGuest& guest_;
  const uint16_t size_;
  const bool event_index_;
  GuestAddress table_;
  GuestAddress available_;
  GuestAddress used_;
  std::vector<uint16_t> free_;
  std::map<uint32_t, std::vector<uint16_t>> descriptors_of_;  // by head
  std::map<uint32_t, std::vector<Builder::Piece>> pieces_of_;
  uint16_t next_available_ = 0;
  uint16_t notified_available_ = 0;
  uint16_t next_used_ = 0;
};

}  // namespace hull
