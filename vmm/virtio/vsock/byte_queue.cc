#include "vmm/virtio/vsock/byte_queue.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "vmm/base/check.h"

namespace hull::vsock {
namespace {
constexpr size_t kSmallestBytes = 4096;
}

std::span<std::byte> ByteQueue::Grow(size_t bytes) {
  HULL_CHECK(bytes <= cap_bytes_ - size());
  const size_t held = size();
  if (bytes > capacity_ - end_) {
    if (held + bytes > capacity_) {
      const size_t capacity = std::max(kSmallestBytes, std::bit_ceil(held + bytes));
      auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
      if (held > 0) std::memcpy(larger.get(), buffer_.get() + begin_, held);
      buffer_ = std::move(larger);
      capacity_ = capacity;
    } else {
      std::memmove(buffer_.get(), buffer_.get() + begin_, held);
    }
    begin_ = 0;
    end_ = held;
  }
  const std::span<std::byte> room(buffer_.get() + end_, bytes);
  end_ += bytes;
  return room;
}

void ByteQueue::Pop(size_t bytes) {
  HULL_CHECK(bytes <= size());
  begin_ += bytes;
  if (!empty()) return;
  begin_ = end_ = capacity_ = 0;
  buffer_.reset();
}

}  // namespace hull::vsock
