#include "vmm/memory/guest_slice.h"

#include <atomic>
#include <bit>
#include <cstring>

#include "vmm/base/check.h"

namespace hull {
namespace {

static_assert(std::endian::native == std::endian::little,
              "virtio is little-endian, as are our hosts");

template <typename T>
std::atomic_ref<T> AtomicAt(std::byte* data, uint64_t size_bytes, uint64_t offset) {
  HULL_CHECK(offset <= size_bytes && sizeof(T) <= size_bytes - offset);
  // SAFETY: inside the slice by the check above; its start and the offset are aligned (checked
  // below), and guest memory has no other type than the one that is read here.
  T* object = reinterpret_cast<T*>(data + offset);
  HULL_CHECK(reinterpret_cast<uintptr_t>(object) % alignof(T) == 0);
  return std::atomic_ref<T>(*object);
}

}  // namespace

GuestSlice GuestSlice::Sub(uint64_t offset, uint64_t size_bytes) const {
  HULL_CHECK(offset <= size_bytes_ && size_bytes <= size_bytes_ - offset);
  return GuestSlice(data_ + offset, size_bytes, writable_);
}

void GuestSlice::Read(uint64_t offset, std::span<std::byte> out) const {
  HULL_CHECK(offset <= size_bytes_ && out.size() <= size_bytes_ - offset);
  if (!out.empty()) std::memcpy(out.data(), data_ + offset, out.size());
}

void GuestSlice::Write(uint64_t offset, std::span<const std::byte> data) const {
  HULL_CHECK(writable_ && offset <= size_bytes_ && data.size() <= size_bytes_ - offset);
  if (!data.empty()) std::memcpy(data_ + offset, data.data(), data.size());
}

void GuestSlice::Fill(uint64_t offset, uint64_t size_bytes, std::byte value) const {
  HULL_CHECK(writable_ && offset <= size_bytes_ && size_bytes <= size_bytes_ - offset);
  if (size_bytes != 0) std::memset(data_ + offset, std::to_integer<int>(value), size_bytes);
}

uint16_t GuestSlice::LoadAcquire16(uint64_t offset) const {
  return AtomicAt<uint16_t>(data_, size_bytes_, offset).load(std::memory_order_acquire);
}

uint32_t GuestSlice::LoadAcquire32(uint64_t offset) const {
  return AtomicAt<uint32_t>(data_, size_bytes_, offset).load(std::memory_order_acquire);
}

uint16_t GuestSlice::LoadRelaxed16(uint64_t offset) const {
  return AtomicAt<uint16_t>(data_, size_bytes_, offset).load(std::memory_order_relaxed);
}

void GuestSlice::StoreRelease16(uint64_t offset, uint16_t value) const {
  HULL_CHECK(writable_);
  AtomicAt<uint16_t>(data_, size_bytes_, offset).store(value, std::memory_order_release);
}

void GuestSlice::StoreRelease32(uint64_t offset, uint32_t value) const {
  HULL_CHECK(writable_);
  AtomicAt<uint32_t>(data_, size_bytes_, offset).store(value, std::memory_order_release);
}

void GuestSlice::StoreRelaxed16(uint64_t offset, uint16_t value) const {
  HULL_CHECK(writable_);
  AtomicAt<uint16_t>(data_, size_bytes_, offset).store(value, std::memory_order_relaxed);
}

bool IoVectors::Append(const GuestSlice& slice) {
  return AppendHost(std::span(slice.data_, slice.size_bytes_));
}

bool IoVectors::AppendHost(std::span<std::byte> data) {
  if (data.empty()) return true;
  if (full()) return false;
  vectors_.push_back(iovec{.iov_base = data.data(), .iov_len = data.size()});
  total_bytes_ += data.size();
  return true;
}

void IoVectors::DropFront(uint64_t size_bytes) {
  HULL_CHECK(size_bytes <= total_bytes_);
  total_bytes_ -= size_bytes;
  while (size_bytes > 0) {
    iovec& front = vectors_[first_];
    if (size_bytes < front.iov_len) {
      // SAFETY: still inside the piece that Append was given.
      front.iov_base = static_cast<std::byte*>(front.iov_base) + size_bytes;
      front.iov_len -= size_bytes;
      return;
    }
    size_bytes -= front.iov_len;
    ++first_;
  }
}

void IoVectors::Clear() {
  vectors_.clear();
  first_ = 0;
  total_bytes_ = 0;
}

}  // namespace hull
