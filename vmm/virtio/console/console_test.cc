#include "vmm/virtio/console/console.h"

#include <gtest/gtest.h>
#include <linux/virtio_ids.h>

#include <memory>
#include <string>

#include "tests/fakes/device_faults.h"
#include "tests/fakes/device_harness.h"
#include "vmm/virtio/console/output_ring.h"

namespace hull {
namespace {

constexpr uint16_t kReceive = 0;
constexpr uint16_t kTransmit = 1;

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

TEST(OutputRingTest, KeepsTheLastBytesInOrder) {
  OutputRing ring(8);
  EXPECT_EQ(ring.Content(), "");
  std::string all;
  for (const std::string_view piece : {"abc", "", "de", "fgh", "i", "jklmno", "p", "0123456789",
                                       "xy", "ABCDEFGH", "12345678901234567890"}) {
    ring.Append(Bytes(piece));
    all += piece;
    EXPECT_EQ(ring.Content(), all.substr(all.size() < 8 ? 0 : all.size() - 8)) << piece;
  }
}

class ConsoleTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(harness_.Activate()); }

  void GuestWrites(std::string_view text) {
    harness_.ring(kTransmit).Chain().Readable(text).Submit();
    ASSERT_TRUE(harness_.Notify(kTransmit));
    ASSERT_TRUE(harness_.ring(kTransmit).TakeUsed().has_value());
  }
  // What the guest has been given in its next buffer.
  std::string GuestReads() {
    const auto used = harness_.ring(kReceive).TakeUsed();
    return used ? harness_.ring(kReceive).Written(*used) : "nothing";
  }

  std::string sunk_;
  Console console_{[this](std::span<const std::byte> data) {
    for (const std::byte byte : data) sunk_ += static_cast<char>(byte);
  }};
  DeviceHarness harness_{console_};
};

TEST_F(ConsoleTest, IsAConsoleOfOnePort) {
  EXPECT_EQ(console_.device_id(), uint32_t{VIRTIO_ID_CONSOLE});
  EXPECT_EQ(console_.queue_sizes().size(), 2U);
  EXPECT_EQ(console_.features(), 0U);
}

TEST_F(ConsoleTest, OutputIsKeptAndHandedToTheSink) {
  GuestWrites("Linux version 6.12\n");
  harness_.ring(kTransmit).Chain().Readable("two ").Readable("pieces").Submit();
  ASSERT_TRUE(harness_.Notify(kTransmit));
  EXPECT_EQ(console_.Output(), "Linux version 6.12\ntwo pieces");
  EXPECT_EQ(sunk_, console_.Output());
}

TEST_F(ConsoleTest, LastLinesAreCounted) {
  EXPECT_EQ(console_.LastLines(5), "");
  GuestWrites("one\ntwo\nthree\n");
  EXPECT_EQ(console_.LastLines(0), "");
  EXPECT_EQ(console_.LastLines(1), "three\n");
  EXPECT_EQ(console_.LastLines(2), "two\nthree\n");
  EXPECT_EQ(console_.LastLines(3), "one\ntwo\nthree\n");
  EXPECT_EQ(console_.LastLines(100), "one\ntwo\nthree\n");
  GuestWrites("unfinished");
  EXPECT_EQ(console_.LastLines(1), "unfinished");
  EXPECT_EQ(console_.LastLines(2), "three\nunfinished");
  GuestWrites("\n\n");
  EXPECT_EQ(console_.LastLines(2), "unfinished\n\n");
}

TEST_F(ConsoleTest, OnlyTheLastOutputIsKept) {
  for (int i = 0; i < 20; ++i) GuestWrites(std::string(5000, static_cast<char>('a' + i)));
  const std::string output = console_.Output();
  EXPECT_EQ(output.size(), Console::kKeptOutputBytes);
  EXPECT_EQ(output.substr(output.size() - 5001, 2), "st");
  EXPECT_EQ(sunk_.size(), 100000U);
}

TEST_F(ConsoleTest, KeptOutputOutlivesTheDriver) {
  GuestWrites("panic");
  EXPECT_TRUE(harness_.Reset());
  EXPECT_EQ(console_.Output(), "panic");
}

TEST_F(ConsoleTest, HugeWriteIsCutAndCounted) {
  const GuestAddress large = harness_.guest().Allocate(1U << 20U);
  harness_.ring(kTransmit).Chain().ReadableAt(large, 1U << 20U).Submit();
  ASSERT_TRUE(harness_.Notify(kTransmit));
  EXPECT_EQ(sunk_.size(), Console::kMaximumWriteBytes);
  EXPECT_EQ(harness_.ring(kTransmit).TakeUsed()->length, 0U);
  EXPECT_EQ(console_.Counters()[2].value, (1U << 20U) - Console::kMaximumWriteBytes);
}

TEST_F(ConsoleTest, WritableBufferInTheTransmitQueueIsLeftAlone) {
  harness_.ring(kTransmit).Chain().Readable("a").Writable(8).Submit();
  ASSERT_TRUE(harness_.Notify(kTransmit));
  EXPECT_EQ(harness_.ring(kTransmit).TakeUsed()->length, 0U);
  EXPECT_EQ(console_.Output(), "a");
}

TEST_F(ConsoleTest, InputGoesIntoTheGuestsBuffers) {
  harness_.ring(kReceive).Chain().Writable(4).Submit();
  harness_.ring(kReceive).Chain().Writable(4).Submit();
  ASSERT_TRUE(harness_.Notify(kReceive));
  EXPECT_EQ(harness_.ring(kReceive).used_index(), 0);
  EXPECT_EQ(console_.SendInput("hello"), 5U);
  EXPECT_EQ(GuestReads(), "hell");
  EXPECT_EQ(GuestReads(), "o");
  EXPECT_EQ(harness_.signals().used_buffers, 1);
}

TEST_F(ConsoleTest, InputWaitsForBuffersInABoundedQueue) {
  const std::string input(Console::kMaximumInputBytes - 2, 'i');
  EXPECT_EQ(console_.SendInput(input), input.size());
  EXPECT_EQ(console_.SendInput("lost"), 2U);
  EXPECT_EQ(console_.SendInput("lost"), 0U);
  harness_.ring(kReceive).Chain().Writable(1 << 20).Submit();
  ASSERT_TRUE(harness_.Notify(kReceive));
  EXPECT_EQ(GuestReads(), input + "lo");
  EXPECT_EQ(console_.SendInput("room again"), 10U);
}

TEST_F(ConsoleTest, InputBeforeTheDriverIsDeliveredWhenItHasBuffers) {
  EXPECT_TRUE(harness_.Reset());
  EXPECT_EQ(console_.SendInput("early"), 5U);
  ASSERT_TRUE(harness_.Activate());
  harness_.ring(kReceive).Chain().Writable(64).Submit();
  ASSERT_TRUE(harness_.Notify(kReceive));
  EXPECT_EQ(GuestReads(), "early");
}

TEST_F(ConsoleTest, InputForADriverThatHasGoneIsDropped) {
  EXPECT_EQ(console_.SendInput("secret"), 6U);
  EXPECT_TRUE(harness_.Reset());
  ASSERT_TRUE(harness_.Activate());
  harness_.ring(kReceive).Chain().Writable(64).Submit();
  ASSERT_TRUE(harness_.Notify(kReceive));
  EXPECT_EQ(GuestReads(), "nothing");
}

TEST_F(ConsoleTest, ReadableBufferInTheReceiveQueueTakesNoInput) {
  harness_.ring(kReceive).Chain().Readable("wrong").Submit();
  harness_.ring(kReceive).Chain().Writable(5).Submit();
  EXPECT_EQ(console_.SendInput("right"), 5U);
  EXPECT_EQ(GuestReads(), "");
  EXPECT_EQ(GuestReads(), "right");
}

TEST_F(ConsoleTest, BrokenReceiveQueueIsReportedWhenInputComes) {
  harness_.ring(kReceive).Publish(0xffff);
  EXPECT_EQ(console_.SendInput("x"), 1U);
  EXPECT_EQ(harness_.signals().faults.size(), 1U);
}

HULL_DEVICE_FAULT_TESTS(Console, [] { return std::make_unique<Console>(); });

}  // namespace
}  // namespace hull
