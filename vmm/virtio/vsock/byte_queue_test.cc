#include "vmm/virtio/vsock/byte_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

namespace hull::vsock {
namespace {

// Bytes that tell their own position.
void Push(ByteQueue& queue, size_t bytes, uint8_t& next) {
  for (std::byte& place : queue.Grow(bytes)) place = std::byte{next++};
}

void ExpectPop(ByteQueue& queue, size_t bytes, uint8_t& next) {
  const auto front = queue.front().first(bytes);
  for (const std::byte value : front) ASSERT_EQ(value, std::byte{next++});
  queue.Pop(bytes);
}

TEST(ByteQueueTest, GivesBackInOrderWhateverThePieces) {
  ByteQueue queue(20000);
  uint8_t in = 0;
  uint8_t out = 0;
  // Uneven pieces, so that the content moves about in its buffer and the buffer grows.
  for (size_t round = 0; round < 200; ++round) {
    Push(queue, 97 + round, in);
    ExpectPop(queue, std::min(queue.size(), size_t{61} + round), out);
  }
  ExpectPop(queue, queue.size(), out);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(in, out);
}

TEST(ByteQueueTest, HoldsItsCapAndNoByteMore) {
  ByteQueue queue(5000);
  uint8_t in = 0;
  Push(queue, 5000, in);
  EXPECT_EQ(queue.size(), 5000U);
  EXPECT_DEATH(queue.Grow(1), "cap_bytes_");
  queue.Pop(1);
  Push(queue, 1, in);
}

TEST(ByteQueueTest, MovedFromIsEmpty) {
  ByteQueue queue(100);
  uint8_t in = 0;
  Push(queue, 10, in);
  const ByteQueue other = std::move(queue);
  EXPECT_EQ(other.size(), 10U);
  EXPECT_TRUE(queue.empty());  // NOLINT(bugprone-use-after-move): that is the question
}

}  // namespace
}  // namespace hull::vsock
