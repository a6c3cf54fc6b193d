// DescriptorChain: one request of the driver's, checked whole and on loan from its queue.
//
// A chain is made by VirtQueue::Pop, which has walked it: every piece lies in guest memory that
// allows the access, readable pieces come before writable ones, and the sum is below 2^32. What the
// bytes say is still the guest's word, and may change between two reads: copy once, check the copy,
// use the copy.
//
// It moves but does not copy, and goes back by VirtQueue::Complete (or PutBack). One that is
// dropped keeps the driver waiting for ever; a device that is being reset says Abandon().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "vmm/memory/guest_slice.h"

namespace hull {

// A position in a list of slices; what reader and writer have in common.
class ChainCursor {
 public:
  // Bytes from the position to the end.
  uint64_t remaining_bytes() const { return remaining_bytes_; }
  // Bytes from the beginning to the position.
  uint64_t position_bytes() const { return position_bytes_; }

  // Hands over the next `size_bytes` as slices, appended to `out`, and moves on. Returns how many
  // bytes that was: fewer only when the chain ends or `out` is full.
  uint64_t Take(uint64_t size_bytes, IoVectors& out);

 protected:
  ChainCursor() = default;
  void Start(std::span<const GuestSlice> slices, uint64_t total_bytes);
  // The next contiguous piece of at most `size_bytes`; moves on. Not at the end.
  GuestSlice Next(uint64_t size_bytes);

 private:
  std::span<const GuestSlice> slices_;  // the first one is the one at the position
  uint64_t offset_ = 0;                 // in slices_.front()
  uint64_t remaining_bytes_ = 0;
  uint64_t position_bytes_ = 0;
};

// Reads the device-readable part from front to back.
class ChainReader final : public ChainCursor {
 public:
  // Copies up to out.size() bytes; returns how many: fewer only at the end.
  size_t Read(std::span<std::byte> out);
  // Moves on without reading; returns by how much: less only at the end.
  uint64_t Skip(uint64_t size_bytes);

  // The next sizeof(T) bytes, however the driver has cut them into descriptors; nullopt when fewer
  // are left, and then nothing is consumed.
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  std::optional<T> ReadObject() {
    if (remaining_bytes() < sizeof(T)) return std::nullopt;
    T object = {};
    Read(std::as_writable_bytes(std::span(&object, 1)));
    return object;
  }

 private:
  friend class ChainWalk;
};

// Writes the device-writable part from front to back. The used length that the driver is told is
// the position at Complete, unless LimitUsed lowers it: whoever Takes slices promises to fill them.
class ChainWriter final : public ChainCursor {
 public:
  // Copies up to data.size() bytes; returns how many: fewer only at the end.
  size_t Write(std::span<const std::byte> data);
  // The same with `value` repeated.
  uint64_t Fill(uint64_t size_bytes, std::byte value);
  // False when fewer than sizeof(T) bytes are left, and then nothing is written.
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  [[nodiscard]] bool WriteObject(const T& object) {
    if (remaining_bytes() < sizeof(T)) return false;
    Write(std::as_bytes(std::span(&object, 1)));
    return true;
  }

  // At most `size_bytes` from the front are reported as written: for I/O that failed or came up
  // short after its slices were taken (virtio 1.2, 2.7.8.2: never more than was written).
  void LimitUsed(uint64_t size_bytes) { limit_bytes_ = size_bytes; }
  // What Complete will report.
  uint32_t used_bytes() const;

 private:
  friend class ChainWalk;
  uint64_t limit_bytes_ = UINT64_MAX;
};

class DescriptorChain {
 public:
  DescriptorChain(DescriptorChain&&) noexcept = default;
  DescriptorChain& operator=(DescriptorChain&& other) noexcept;
  DescriptorChain(const DescriptorChain&) = delete;
  DescriptorChain& operator=(const DescriptorChain&) = delete;
  // Logs (rate-limited) when the chain was neither given back nor abandoned.
  ~DescriptorChain();

  // References stay valid while the chain is moved about, until it is given back.
  ChainReader& reader() { return body_->reader; }
  ChainWriter& writer() { return body_->writer; }
  uint64_t readable_bytes() const { return body_->readable_bytes; }
  uint64_t writable_bytes() const { return body_->writable_bytes; }

  // Lets go of the chain without an answer: only where the driver has reset the device, or will
  // have to.
  void Abandon() && { body_.reset(); }

 private:
  friend class ChainWalk;
  friend class VirtQueue;

  struct Body {
    std::vector<GuestSlice> slices;  // the readable ones, then the writable ones
    size_t readable_count = 0;
    uint64_t readable_bytes = 0;
    uint64_t writable_bytes = 0;
    ChainReader reader;
    ChainWriter writer;
    uint16_t head = 0;
    uint16_t place = 0;         // in the available ring
    uint64_t queue_serial = 0;  // which VirtQueue lent it
  };

  void ReportIfDropped() const;
  explicit DescriptorChain(std::unique_ptr<Body> body) : body_(std::move(body)) {}

  std::unique_ptr<Body> body_;
};

}  // namespace hull
