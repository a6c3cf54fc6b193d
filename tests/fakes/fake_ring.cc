#include "tests/fakes/fake_ring.h"

#include <gtest/gtest.h>
#include <linux/virtio_config.h>

#include "vmm/virtio/ring_layout.h"

namespace hull {

FakeRing::Builder& FakeRing::Builder::Readable(std::string_view content) {
  return ReadableAt(ring_.guest_.Place(content), static_cast<uint32_t>(content.size()));
}

FakeRing::Builder& FakeRing::Builder::Writable(uint32_t size_bytes) {
  return WritableAt(ring_.guest_.Allocate(size_bytes), size_bytes);
}

FakeRing::Builder& FakeRing::Builder::ReadableAt(GuestAddress at, uint32_t size_bytes) {
  pieces_.push_back({at, size_bytes, false});
  return *this;
}

FakeRing::Builder& FakeRing::Builder::WritableAt(GuestAddress at, uint32_t size_bytes) {
  pieces_.push_back({at, size_bytes, true});
  return *this;
}

FakeRing::Builder& FakeRing::Builder::Indirect() {
  indirect_from_ = pieces_.size();
  return *this;
}

uint16_t FakeRing::Builder::Submit() {
  const uint16_t head = Prepare();
  ring_.Publish(head);
  return head;
}

uint16_t FakeRing::Builder::Prepare() {
  const size_t direct = indirect_from_.value_or(pieces_.size());
  const size_t used = direct + (indirect_from_ ? 1 : 0);
  std::vector<uint16_t> indexes;
  for (size_t i = 0; i < used; ++i) indexes.push_back(ring_.TakeDescriptor());
  const auto flags_of = [](const Piece& piece) {
    return static_cast<uint16_t>(piece.is_writable ? VRING_DESC_F_WRITE : 0);
  };
  for (size_t i = 0; i < direct; ++i) {
    const bool is_last = i + 1 == used;
    const auto flags =
        static_cast<uint16_t>(flags_of(pieces_[i]) | (is_last ? 0 : VRING_DESC_F_NEXT));
    ring_.SetDescriptor(indexes[i], pieces_[i].at.value(), pieces_[i].size_bytes, flags,
                        is_last ? uint16_t{0} : indexes[i + 1]);
  }
  if (indirect_from_) {
    const size_t count = pieces_.size() - direct;
    const GuestAddress table = ring_.guest_.Allocate(ring::TableBytes(count));
    for (size_t i = 0; i < count; ++i) {
      const Piece& piece = pieces_[direct + i];
      const bool is_last = i + 1 == count;
      ring_.WriteDescriptor(
          GuestAddress(table.value() + 16 * i), piece.at.value(), piece.size_bytes,
          static_cast<uint16_t>(flags_of(piece) | (is_last ? 0 : VRING_DESC_F_NEXT)),
          static_cast<uint16_t>(is_last ? 0 : i + 1));
    }
    ring_.SetDescriptor(indexes[direct], table.value(),
                        static_cast<uint32_t>(ring::TableBytes(count)), VRING_DESC_F_INDIRECT, 0);
  }
  if (indexes.empty()) {
    ADD_FAILURE() << "a chain without a piece";
    return 0;
  }
  const uint16_t head = indexes.front();
  ring_.descriptors_of_[head] = indexes;
  ring_.pieces_of_[head] = pieces_;
  return head;
}

FakeRing::FakeRing(FakeGuest& guest, uint16_t size, uint64_t features)
    : guest_(guest),
      size_(size),
      event_index_(((features >> VIRTIO_RING_F_EVENT_IDX) & 1U) != 0),
      table_(guest.Allocate(ring::TableBytes(size))),
      available_(guest.Allocate(ring::AvailableBytes(size))),
      used_(guest.Allocate(ring::UsedBytes(size))) {
  for (uint16_t i = size; i > 0; --i) free_.push_back(static_cast<uint16_t>(i - 1));
}

VirtQueueConfig FakeRing::Config() const {
  return {.maximum_size = size_,
          .size = size_,
          .descriptor_table = table_,
          .available_ring = available_,
          .used_ring = used_,
          .ready = true};
}

std::optional<FakeRing::Used> FakeRing::TakeUsed() {
  if (used_index() == next_used_) return std::nullopt;
  const uint64_t offset = ring::UsedEntryOffset(next_used_ % size_);
  const auto entry = Slice(used_, ring::UsedBytes(size_)).ReadObject<::vring_used_elem>(offset);
  ++next_used_;
  const auto found = descriptors_of_.find(entry.id);
  if (found == descriptors_of_.end()) {
    ADD_FAILURE() << "the device gave back a chain that it did not have: " << entry.id;
  } else {
    free_.insert(free_.end(), found->second.rbegin(), found->second.rend());
    descriptors_of_.erase(found);
  }
  return Used{.id = entry.id, .length = entry.len};
}

std::string FakeRing::Written(uint32_t head) const {
  std::string content;
  const auto found = pieces_of_.find(head);
  if (found == pieces_of_.end()) return content;
  for (const Builder::Piece& piece : found->second) {
    if (piece.is_writable) content += guest_.Read(piece.at, piece.size_bytes);
  }
  return content;
}

bool FakeRing::NotificationWanted() {
  const auto added = static_cast<uint16_t>(next_available_ - notified_available_);
  notified_available_ = next_available_;
  if (added == 0) return false;
  if (!event_index_) return (used_flags() & VRING_USED_F_NO_NOTIFY) == 0;
  return static_cast<uint16_t>(next_available_ - available_event() - 1) < added;
}

void FakeRing::AskForInterruptAt(uint16_t index) {
  Slice(available_, ring::AvailableBytes(size_))
      .StoreRelaxed16(ring::UsedEventOffset(size_), index);
}

void FakeRing::AskForInterrupts(bool wanted) {
  Slice(available_, ring::AvailableBytes(size_))
      .StoreRelaxed16(ring::kFlagsOffset, wanted ? 0 : VRING_AVAIL_F_NO_INTERRUPT);
}

void FakeRing::SetDescriptor(uint16_t index, uint64_t address, uint32_t length, uint16_t flags,
                             uint16_t next) {
  WriteDescriptor(GuestAddress(table_.value() + 16 * uint64_t{index}), address, length, flags,
                  next);
}

void FakeRing::SetAvailableEntry(uint16_t slot, uint16_t head) {
  Slice(available_, ring::AvailableBytes(size_))
      .StoreRelaxed16(ring::AvailableEntryOffset(slot), head);
}

void FakeRing::SetAvailableIndex(uint16_t index) {
  next_available_ = index;
  Slice(available_, ring::AvailableBytes(size_)).StoreRelease16(ring::kIndexOffset, index);
}

void FakeRing::Publish(uint16_t head) {
  SetAvailableEntry(static_cast<uint16_t>(next_available_ % size_), head);
  SetAvailableIndex(static_cast<uint16_t>(next_available_ + 1));
}

uint16_t FakeRing::used_index() const {
  return Slice(used_, ring::UsedBytes(size_)).LoadAcquire16(ring::kIndexOffset);
}

uint16_t FakeRing::used_flags() const {
  return Slice(used_, ring::UsedBytes(size_)).LoadRelaxed16(ring::kFlagsOffset);
}

uint16_t FakeRing::available_event() const {
  return Slice(used_, ring::UsedBytes(size_)).LoadRelaxed16(ring::AvailableEventOffset(size_));
}

uint16_t FakeRing::TakeDescriptor() {
  if (free_.empty()) {
    ADD_FAILURE() << "no descriptor is free";
    return 0;
  }
  const uint16_t index = free_.back();
  free_.pop_back();
  return index;
}

void FakeRing::WriteDescriptor(GuestAddress at, uint64_t address, uint32_t length, uint16_t flags,
                               uint16_t next) const {
  EXPECT_TRUE(guest_.memory().WriteObject(
      at, ::vring_desc{.addr = address, .len = length, .flags = flags, .next = next}));
}

GuestSlice FakeRing::Slice(GuestAddress at, uint64_t size_bytes) const {
  return guest_.memory().Writable(at, size_bytes).value();
}

}  // namespace hull
