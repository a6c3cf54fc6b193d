#include "vmm/virtio/descriptor_chain.h"

#include <algorithm>

#include "vmm/base/check.h"
#include "vmm/base/log.h"

namespace hull {

void ChainCursor::Start(std::span<const GuestSlice> slices, uint64_t total_bytes) {
  slices_ = slices;
  offset_ = 0;
  remaining_bytes_ = total_bytes;
  position_bytes_ = 0;
}

GuestSlice ChainCursor::Next(uint64_t size_bytes) {
  HULL_CHECK(remaining_bytes_ > 0);
  const GuestSlice& front = slices_.front();
  const uint64_t taken_bytes = std::min(size_bytes, front.size_bytes() - offset_);
  const GuestSlice piece = front.Sub(offset_, taken_bytes);
  offset_ += taken_bytes;
  if (offset_ == front.size_bytes()) {
    slices_ = slices_.subspan(1);
    offset_ = 0;
  }
  remaining_bytes_ -= taken_bytes;
  position_bytes_ += taken_bytes;
  return piece;
}

uint64_t ChainCursor::Take(uint64_t size_bytes, IoVectors& out) {
  uint64_t taken_bytes = 0;
  while (taken_bytes < size_bytes && remaining_bytes_ > 0 && !out.full()) {
    const GuestSlice piece = Next(size_bytes - taken_bytes);
    HULL_CHECK(out.Append(piece));
    taken_bytes += piece.size_bytes();
  }
  return taken_bytes;
}

size_t ChainReader::Read(std::span<std::byte> out) {
  size_t done = 0;
  while (done < out.size() && remaining_bytes() > 0) {
    const GuestSlice piece = Next(out.size() - done);
    piece.Read(0, out.subspan(done, piece.size_bytes()));
    done += piece.size_bytes();
  }
  return done;
}

uint64_t ChainReader::Skip(uint64_t size_bytes) {
  uint64_t done = 0;
  while (done < size_bytes && remaining_bytes() > 0) done += Next(size_bytes - done).size_bytes();
  return done;
}

size_t ChainWriter::Write(std::span<const std::byte> data) {
  size_t done = 0;
  while (done < data.size() && remaining_bytes() > 0) {
    const GuestSlice piece = Next(data.size() - done);
    piece.Write(0, data.subspan(done, piece.size_bytes()));
    done += piece.size_bytes();
  }
  return done;
}

uint64_t ChainWriter::Fill(uint64_t size_bytes, std::byte value) {
  uint64_t done = 0;
  while (done < size_bytes && remaining_bytes() > 0) {
    const GuestSlice piece = Next(size_bytes - done);
    piece.Fill(0, piece.size_bytes(), value);
    done += piece.size_bytes();
  }
  return done;
}

uint32_t ChainWriter::used_bytes() const {
  // Fits: the walk has refused chains of 2^32 bytes.
  return static_cast<uint32_t>(std::min(position_bytes(), limit_bytes_));
}

DescriptorChain& DescriptorChain::operator=(DescriptorChain&& other) noexcept {
  if (this != &other) {
    ReportIfDropped();
    body_ = std::move(other.body_);
  }
  return *this;
}

DescriptorChain::~DescriptorChain() {
  ReportIfDropped();
}

void DescriptorChain::ReportIfDropped() const {
  if (body_ == nullptr) return;
  static log::RateLimit limit;
  if (limit.Allow()) log::Error("a device lost descriptor chain {}", body_->head);
}

}  // namespace hull
