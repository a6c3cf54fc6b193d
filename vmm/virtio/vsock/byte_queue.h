// Bytes that wait for a socket to take them: first in, first out, never more than a fixed cap.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

namespace hull::vsock {

// Takes no memory while empty: most connections never need it, since the socket takes all at once.
class ByteQueue {
 public:
  explicit ByteQueue(size_t cap_bytes) : cap_bytes_(cap_bytes) {}
  // What was moved from is empty.
  ByteQueue(ByteQueue&& other) noexcept
      : cap_bytes_(other.cap_bytes_),
        capacity_(std::exchange(other.capacity_, 0)),
        begin_(std::exchange(other.begin_, 0)),
        end_(std::exchange(other.end_, 0)),
        buffer_(std::move(other.buffer_)) {}
  ByteQueue& operator=(ByteQueue&&) = delete;

  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }

  // Room for `bytes` more at the end, to be written by the caller, who has made sure that they fit
  // below the cap. Valid until the next call of anything here.
  std::span<std::byte> Grow(size_t bytes);
  // What comes first, all of it in one piece.
  std::span<const std::byte> front() const { return {buffer_.get() + begin_, size()}; }
  void Pop(size_t bytes);

 private:
  size_t cap_bytes_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
  std::unique_ptr<std::byte[]> buffer_;
};

}  // namespace hull::vsock
