#include "vmm/virtio/virt_queue.h"

#include <gtest/gtest.h>
#include <linux/virtio_config.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "tests/fakes/fake_guest.h"
#include "tests/fakes/fake_ring.h"
#include "tests/fakes/fake_signals.h"
#include "tests/fakes/ring_faults.h"
#include "vmm/virtio/ring_layout.h"

namespace hull {
namespace {

constexpr uint64_t kEventIndex = uint64_t{1} << VIRTIO_RING_F_EVENT_IDX;
constexpr uint64_t kIndirect = uint64_t{1} << VIRTIO_RING_F_INDIRECT_DESC;
constexpr uint16_t kSize = 8;

std::string ReadAll(ChainReader& reader) {
  std::string content(reader.remaining_bytes(), '?');
  content.resize(reader.Read(std::as_writable_bytes(std::span(content))));
  return content;
}

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class VirtQueueTest : public testing::Test {
 protected:
  explicit VirtQueueTest(uint64_t features = kEventIndex | kIndirect)
      : ring_(guest_, kSize, features),
        queue_(ring_.Config().Activate(guest_.memory(), features, signals_).value()) {}

  // Pops a chain that must be there.
  DescriptorChain MustPop() {
    Result<std::optional<DescriptorChain>> popped = queue_.Pop();
    EXPECT_TRUE(popped.has_value() && popped->has_value());
    return std::move(**popped);
  }
  bool PopsEmpty() {
    const Result<std::optional<DescriptorChain>> popped = queue_.Pop();
    return popped.has_value() && !popped->has_value();
  }
  // One request and its answer, as a whole.
  void ExchangeOne() {
    ring_.Chain().Readable("question").Writable(6).Submit();
    DescriptorChain chain = MustPop();
    EXPECT_EQ(ReadAll(chain.reader()), "question");
    chain.writer().Write(Bytes("answer"));
    queue_.Complete(std::move(chain));
    const auto used = ring_.TakeUsed();
    ASSERT_TRUE(used.has_value());
    EXPECT_EQ(ring_.Written(*used), "answer");
  }

  FakeGuest guest_;
  FakeSignals signals_;
  FakeRing ring_;
  VirtQueue queue_;
};

class VirtQueueFlagsTest : public VirtQueueTest {
 protected:
  VirtQueueFlagsTest() : VirtQueueTest(0) {}
};

TEST_F(VirtQueueTest, EmptyRingIsEmptyNotBroken) {
  EXPECT_TRUE(PopsEmpty());
  EXPECT_TRUE(PopsEmpty());
}

TEST_F(VirtQueueTest, ChainIsReadAndAnsweredAcrossPieces) {
  const uint16_t head =
      ring_.Chain().Readable("he").Readable("l").Readable("lo").Writable(1).Writable(9).Submit();
  DescriptorChain chain = MustPop();
  EXPECT_EQ(chain.readable_bytes(), 5U);
  EXPECT_EQ(chain.writable_bytes(), 10U);
  EXPECT_EQ(ReadAll(chain.reader()), "hello");
  EXPECT_EQ(chain.writer().Write(Bytes("wor")), 3U);
  EXPECT_EQ(chain.writer().Write(Bytes("ld")), 2U);
  EXPECT_EQ(queue_.in_flight(), 1);
  queue_.Complete(std::move(chain));
  EXPECT_EQ(queue_.in_flight(), 0);
  const auto used = ring_.TakeUsed();
  ASSERT_TRUE(used.has_value());
  EXPECT_EQ(used->id, head);
  EXPECT_EQ(used->length, 5U);
  EXPECT_EQ(ring_.Written(*used), "world");
}

TEST_F(VirtQueueTest, PositionsWrapRoundTheRingAndSixteenBits) {
  for (int i = 0; i < 70000; ++i) {
    const uint16_t head = ring_.Chain().WritableAt(GuestAddress(0x1000), 2).Submit();
    DescriptorChain chain = MustPop();
    ASSERT_TRUE(chain.writer().WriteObject(static_cast<uint16_t>(i)));
    queue_.Complete(std::move(chain));
    const auto used = ring_.TakeUsed();
    ASSERT_TRUE(used.has_value());
    ASSERT_EQ(used->id, head);
    ASSERT_EQ(used->length, 2U);
  }
}

TEST_F(VirtQueueTest, ChainsMayBeCompletedInAnyOrder) {
  const uint16_t one = ring_.Chain().Readable("1").Submit();
  const uint16_t two = ring_.Chain().Readable("2").Submit();
  const uint16_t three = ring_.Chain().Readable("3").Submit();
  DescriptorChain first = MustPop();
  DescriptorChain second = MustPop();
  DescriptorChain third = MustPop();
  queue_.Complete(std::move(third));
  queue_.Complete(std::move(first));
  queue_.Complete(std::move(second));
  EXPECT_EQ(ring_.TakeUsed()->id, three);
  EXPECT_EQ(ring_.TakeUsed()->id, one);
  EXPECT_EQ(ring_.TakeUsed()->id, two);
  EXPECT_FALSE(ring_.TakeUsed().has_value());
}

TEST_F(VirtQueueTest, IndirectChainIsFollowedWholeOrBehindDirectPieces) {
  ring_.Chain().Indirect().Readable("in").Readable("direct").Writable(3).Submit();
  ring_.Chain().Readable("mixed").Indirect().Readable("!").Writable(3).Submit();
  DescriptorChain first = MustPop();
  EXPECT_EQ(ReadAll(first.reader()), "indirect");
  DescriptorChain second = MustPop();
  EXPECT_EQ(ReadAll(second.reader()), "mixed!");
  second.writer().Write(Bytes("yes"));
  queue_.Complete(std::move(second));
  queue_.Complete(std::move(first));
  EXPECT_EQ(ring_.Written(*ring_.TakeUsed()), "yes");
  EXPECT_EQ(ring_.TakeUsed()->length, 0U);
}

// What is odd but not forbidden.
TEST_F(VirtQueueTest, EmptyDescriptorsAreLeftOut) {
  ring_.Chain().Readable("").Readable("a").Readable("").Writable(0).Writable(1).Submit();
  ring_.Chain().Readable("").Submit();
  DescriptorChain chain = MustPop();
  EXPECT_EQ(ReadAll(chain.reader()), "a");
  EXPECT_EQ(chain.writable_bytes(), 1U);
  queue_.Complete(std::move(chain));
  DescriptorChain nothing = MustPop();
  EXPECT_EQ(nothing.readable_bytes() + nothing.writable_bytes(), 0U);
  queue_.Complete(std::move(nothing));
}

TEST_F(VirtQueueTest, WriteFlagOfAnIndirectTableIsIgnored) {
  const GuestAddress table = guest_.Place(
      BytesOf(::vring_desc{.addr = 0x1000, .len = 4, .flags = VRING_DESC_F_WRITE, .next = 9}));
  ring_.SetDescriptor(0, table.value(), 16, VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE, 0);
  ring_.Publish(0);
  DescriptorChain chain = MustPop();
  EXPECT_EQ(chain.writable_bytes(), 4U);
  std::move(chain).Abandon();
}

TEST_F(VirtQueueTest, PiecesMayOverlapEachOther) {
  const GuestAddress at = guest_.Place("overlap!");
  ring_.Chain().ReadableAt(at, 8).ReadableAt(at, 4).WritableAt(at, 8).Submit();
  DescriptorChain chain = MustPop();
  EXPECT_EQ(ReadAll(chain.reader()), "overlap!over");
  EXPECT_EQ(chain.writer().Fill(8, std::byte{'z'}), 8U);
  queue_.Complete(std::move(chain));
  EXPECT_EQ(guest_.Read(at, 8), "zzzzzzzz");
}

TEST_F(VirtQueueTest, ReadOnlyMemoryMayBeRead) {
  ring_.Chain().ReadableAt(GuestAddress(FakeGuest::kReadOnly), 4).Submit();
  DescriptorChain chain = MustPop();
  EXPECT_EQ(ReadAll(chain.reader()), std::string(4, '\0'));
  queue_.Complete(std::move(chain));
}

TEST_F(VirtQueueTest, ChainAsLongAsTheQueueIsTaken) {
  auto builder = ring_.Chain();
  builder.Indirect();
  for (int i = 0; i < kSize; ++i) builder.Readable("x");
  builder.Submit();
  DescriptorChain chain = MustPop();
  EXPECT_EQ(chain.readable_bytes(), kSize);
  queue_.Complete(std::move(chain));
}

TEST_F(VirtQueueTest, DescriptorsChangedAfterPopChangeNothing) {
  const uint16_t head = ring_.Chain().Readable("good").Writable(4).Submit();
  DescriptorChain chain = MustPop();
  ring_.SetDescriptor(head, FakeGuest::kHole, UINT32_MAX, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT,
                      head);
  ring_.SetAvailableEntry(0, 0xffff);
  EXPECT_EQ(ReadAll(chain.reader()), "good");
  EXPECT_EQ(chain.writable_bytes(), 4U);
  queue_.Complete(std::move(chain));
  EXPECT_EQ(ring_.TakeUsed()->id, head);
}

TEST_F(VirtQueueTest, UsedRingThatTheGuestOverwritesIsNeverReadBack) {
  ExchangeOne();
  guest_.Write(ring_.used_ring(), std::string(ring::UsedBytes(kSize), '\x7f'));
  const uint16_t head = ring_.Chain().Writable(1).Submit();
  DescriptorChain chain = MustPop();
  ASSERT_TRUE(chain.writer().WriteObject('x'));
  queue_.Complete(std::move(chain));
  EXPECT_EQ(ring_.used_index(), 2);
  const auto used = ring_.TakeUsed();
  ASSERT_TRUE(used.has_value());
  EXPECT_EQ(used->id, head);
}

TEST_F(VirtQueueTest, ReaderAndWriterStopAtTheEnd) {
  ring_.Chain().Readable("abc").Writable(3).Submit();
  DescriptorChain chain = MustPop();
  EXPECT_FALSE(chain.reader().ReadObject<uint32_t>().has_value());
  EXPECT_EQ(chain.reader().remaining_bytes(), 3U);
  EXPECT_EQ(chain.reader().Skip(1), 1U);
  EXPECT_EQ(chain.reader().ReadObject<uint16_t>(), 0x6362);
  EXPECT_EQ(chain.reader().Skip(5), 0U);
  EXPECT_FALSE(chain.writer().WriteObject(uint32_t{0}));
  EXPECT_EQ(chain.writer().position_bytes(), 0U);
  EXPECT_EQ(chain.writer().Write(Bytes("12345")), 3U);
  EXPECT_EQ(chain.writer().Fill(1, std::byte{0}), 0U);
  EXPECT_EQ(chain.writer().used_bytes(), 3U);
  queue_.Complete(std::move(chain));
}

TEST_F(VirtQueueTest, TakenSlicesCountAsUsedUpToTheLimit) {
  ring_.Chain().Readable("abcd").Writable(4).Writable(5).Submit();
  DescriptorChain chain = MustPop();
  IoVectors from;
  IoVectors to;
  EXPECT_EQ(chain.reader().Take(3, from), 3U);
  EXPECT_EQ(from.total_bytes(), 3U);
  EXPECT_EQ(chain.reader().remaining_bytes(), 1U);
  EXPECT_EQ(chain.writer().Take(100, to), 9U);
  EXPECT_EQ(to.count(), 2U);
  EXPECT_EQ(chain.writer().used_bytes(), 9U);
  chain.writer().LimitUsed(6);
  queue_.Complete(std::move(chain));
  EXPECT_EQ(ring_.TakeUsed()->length, 6U);
}

TEST_F(VirtQueueTest, FullVectorsTakeNothingMore) {
  ring_.Chain().Writable(4).Submit();
  DescriptorChain chain = MustPop();
  std::array<std::byte, 1> host = {};
  IoVectors vectors;
  for (size_t i = 0; i + 1 < IoVectors::kMaximumCount; ++i) ASSERT_TRUE(vectors.AppendHost(host));
  EXPECT_EQ(chain.writer().Take(2, vectors), 2U);
  EXPECT_EQ(chain.writer().Take(2, vectors), 0U);
  EXPECT_EQ(chain.writer().position_bytes(), 2U);
  std::move(chain).Abandon();
}

TEST_F(VirtQueueTest, ChainPutBackComesAgainFromItsBeginning) {
  ring_.Chain().Readable("first").Submit();
  ring_.Chain().Readable("second").Submit();
  DescriptorChain chain = MustPop();
  EXPECT_EQ(chain.reader().Skip(3), 3U);
  queue_.PutBack(std::move(chain));
  EXPECT_EQ(queue_.in_flight(), 0);
  DescriptorChain again = MustPop();
  EXPECT_EQ(ReadAll(again.reader()), "first");
  DescriptorChain second = MustPop();
  EXPECT_EQ(ReadAll(second.reader()), "second");
  queue_.PutBack(std::move(second));
  queue_.Complete(std::move(again));
  DescriptorChain second_again = MustPop();
  EXPECT_EQ(ReadAll(second_again.reader()), "second");
  queue_.Complete(std::move(second_again));
  EXPECT_TRUE(PopsEmpty());
}

TEST_F(VirtQueueTest, SameDescriptorInMoreChainsThanTheQueueHasBreaksIt) {
  ring_.SetDescriptor(0, 0x1000, 1, 0, 0);
  std::vector<DescriptorChain> chains;
  for (int i = 0; i < kSize; ++i) {
    ring_.Publish(0);
    chains.push_back(MustPop());
  }
  ring_.Publish(0);
  EXPECT_FALSE(queue_.Pop().has_value());
  for (DescriptorChain& chain : chains) std::move(chain).Abandon();
}

TEST_F(VirtQueueTest, ChainDroppedByMistakeDoesNotAbort) {
  ring_.Chain().Readable("x").Submit();
  EXPECT_TRUE(queue_.Pop().has_value());
  EXPECT_EQ(queue_.in_flight(), 1);
}

using VirtQueueDeathTest = VirtQueueTest;

TEST_F(VirtQueueDeathTest, ChainOfAnotherQueueOrOutOfTurnAborts) {
  FakeRing other_ring(guest_, kSize, kEventIndex);
  VirtQueue other = other_ring.Config().Activate(guest_.memory(), kEventIndex, signals_).value();
  ring_.Chain().Readable("x").Submit();
  ring_.Chain().Readable("y").Submit();
  DescriptorChain first = MustPop();
  DescriptorChain second = MustPop();
  EXPECT_DEATH(other.Complete(std::move(first)), "serial");
  EXPECT_DEATH(queue_.PutBack(std::move(first)), "place");
  std::move(first).Abandon();
  std::move(second).Abandon();
}

// --- Notifications and interrupts ---

TEST_F(VirtQueueTest, DriverNotifiesOnceUntilTheQueueWasFoundEmpty) {
  ring_.Chain().Readable("1").Submit();
  EXPECT_TRUE(ring_.NotificationWanted());
  ring_.Chain().Readable("2").Submit();
  EXPECT_FALSE(ring_.NotificationWanted());
  queue_.Complete(MustPop());
  ring_.Chain().Readable("3").Submit();
  EXPECT_FALSE(ring_.NotificationWanted());
  queue_.Complete(MustPop());
  queue_.Complete(MustPop());
  EXPECT_TRUE(PopsEmpty());
  ring_.Chain().Readable("4").Submit();
  EXPECT_TRUE(ring_.NotificationWanted());
}

TEST_F(VirtQueueFlagsTest, DriverNotifiesOnceUntilTheQueueWasFoundEmpty) {
  ring_.Chain().Readable("1").Submit();
  EXPECT_TRUE(ring_.NotificationWanted());
  queue_.Complete(MustPop());
  ring_.Chain().Readable("2").Submit();
  EXPECT_FALSE(ring_.NotificationWanted());
  queue_.Complete(MustPop());
  EXPECT_TRUE(PopsEmpty());
  ring_.Chain().Readable("3").Submit();
  EXPECT_TRUE(ring_.NotificationWanted());
}

TEST_F(VirtQueueTest, OneInterruptForABatchAndNoneForNothing) {
  queue_.NotifyGuest();
  EXPECT_EQ(signals_.used_buffers, 0);
  ring_.AskForInterruptAt(0);
  for (int i = 0; i < 3; ++i) ring_.Chain().Readable("x").Submit();
  for (int i = 0; i < 3; ++i) queue_.Complete(MustPop());
  EXPECT_EQ(signals_.used_buffers, 0);
  queue_.NotifyGuest();
  queue_.NotifyGuest();
  EXPECT_EQ(signals_.used_buffers, 1);
}

TEST_F(VirtQueueTest, InterruptOnlyWhenTheUsedEventIsPassed) {
  ring_.AskForInterruptAt(2);
  for (int used = 1; used <= 5; ++used) {
    ring_.Chain().Readable("x").Submit();
    queue_.Complete(MustPop());
    queue_.NotifyGuest();
    EXPECT_EQ(signals_.used_buffers, used >= 3 ? 1 : 0) << used;
    ring_.TakeUsed();
  }
}

TEST_F(VirtQueueTest, UsedEventIsPassedWhereTheIndexWraps) {
  for (int i = 0; i < 65535; ++i) {
    ring_.Chain().WritableAt(GuestAddress(0x1000), 1).Submit();
    queue_.Complete(MustPop());
    ring_.TakeUsed();
  }
  queue_.NotifyGuest();
  signals_.used_buffers = 0;
  ring_.AskForInterruptAt(1);  // the second after the wrap
  for (int i = 0; i < 3; ++i) {
    ring_.Chain().Readable("x").Submit();
    queue_.Complete(MustPop());
    queue_.NotifyGuest();
    EXPECT_EQ(signals_.used_buffers, i >= 2 ? 1 : 0) << i;
    ring_.TakeUsed();
  }
}

TEST_F(VirtQueueFlagsTest, InterruptsFollowTheFlag) {
  ring_.AskForInterrupts(false);
  ring_.Chain().Readable("x").Submit();
  queue_.Complete(MustPop());
  queue_.NotifyGuest();
  EXPECT_EQ(signals_.used_buffers, 0);
  ring_.AskForInterrupts(true);
  queue_.NotifyGuest();  // nothing new to tell
  EXPECT_EQ(signals_.used_buffers, 0);
  ring_.Chain().Readable("x").Submit();
  queue_.Complete(MustPop());
  queue_.NotifyGuest();
  EXPECT_EQ(signals_.used_buffers, 1);
}

TEST_F(VirtQueueFlagsTest, IndirectTableThatWasNotAgreedOnBreaksTheQueue) {
  ring_.Chain().Indirect().Readable("x").Submit();
  const auto popped = queue_.Pop();
  ASSERT_FALSE(popped.has_value());
  EXPECT_EQ(popped.error().code(), ErrorCode::kCorrupt);
}

// --- What makes no queue ---

struct BadConfig {
  std::string name;
  std::function<void(VirtQueueConfig&)> spoil;
};

class VirtQueueConfigTest : public testing::TestWithParam<BadConfig> {};

TEST_P(VirtQueueConfigTest, IsRefused) {
  FakeGuest guest;
  FakeSignals signals;
  const FakeRing ring(guest, kSize, 0);
  VirtQueueConfig config = ring.Config();
  ASSERT_TRUE(config.Activate(guest.memory(), 0, signals).has_value());
  GetParam().spoil(config);
  const auto queue = config.Activate(guest.memory(), 0, signals);
  ASSERT_FALSE(queue.has_value());
  EXPECT_EQ(queue.error().code(), ErrorCode::kInvalidArgument);
}

GuestAddress Moved(GuestAddress address, uint64_t offset) {
  return address.Add(offset).value();
}

INSTANTIATE_TEST_SUITE_P(
    Bad, VirtQueueConfigTest,
    testing::Values(
        BadConfig{"NotReady", [](auto& c) { c.ready = false; }},
        BadConfig{"SizeZero", [](auto& c) { c.size = 0; }},
        BadConfig{"SizeNotAPowerOfTwo", [](auto& c) { c.size = 6; }},
        BadConfig{"SizeAboveTheMaximum", [](auto& c) { c.size = 16; }},
        BadConfig{"SizeHuge", [](auto& c) { c.size = 0x80000000; }},
        BadConfig{"SizeWhoseLowHalfIsGood", [](auto& c) { c.size = 0x10008; }},
        BadConfig{"TableNotAligned",
                  [](auto& c) { c.descriptor_table = Moved(c.descriptor_table, 8); }},
        BadConfig{"AvailableNotAligned",
                  [](auto& c) { c.available_ring = Moved(c.available_ring, 1); }},
        BadConfig{"UsedNotAligned", [](auto& c) { c.used_ring = Moved(c.used_ring, 2); }},
        BadConfig{"TableInTheHole",
                  [](auto& c) { c.descriptor_table = GuestAddress(FakeGuest::kHole); }},
        BadConfig{"TableOverTheEnd",
                  [](auto& c) { c.descriptor_table = GuestAddress(FakeGuest::kHole - 16); }},
        BadConfig{"AvailableOverTheEnd",
                  [](auto& c) { c.available_ring = GuestAddress(FakeGuest::kHole - 20); }},
        BadConfig{"UsedOverTheEnd",
                  [](auto& c) { c.used_ring = GuestAddress(FakeGuest::kHole - 64); }},
        BadConfig{"UsedInReadOnlyMemory",
                  [](auto& c) { c.used_ring = GuestAddress(FakeGuest::kReadOnly); }},
        BadConfig{"UsedThatWraps", [](auto& c) { c.used_ring = GuestAddress(UINT64_MAX - 3); }}),
    [](const auto& made) { return made.param.name; });

// --- The table of faults ---

class VirtQueueFaultTest : public testing::TestWithParam<RingFault> {};

TEST_P(VirtQueueFaultTest, BreaksTheQueueForGoodAndNothingElse) {
  for (const uint64_t features : {kIndirect, kIndirect | kEventIndex}) {
    // 64 entries: enough for a sum of 4 GiB.
    for (const uint16_t size : {uint16_t{64}, uint16_t{128}}) {
      FakeGuest guest;
      FakeSignals signals;
      FakeRing ring(guest, size, features);
      VirtQueue queue = ring.Config().Activate(guest.memory(), features, signals).value();
      const std::string before = guest.Read(GuestAddress(0x1000), 64);
      GetParam().commit(ring);
      const auto popped = queue.Pop();
      ASSERT_FALSE(popped.has_value());
      EXPECT_EQ(popped.error().code(), ErrorCode::kCorrupt);
      EXPECT_EQ(queue.in_flight(), 0);
      EXPECT_EQ(ring.used_index(), 0);
      EXPECT_EQ(guest.Read(GuestAddress(0x1000), 64), before);
      ring.SetAvailableIndex(0);
      EXPECT_FALSE(queue.Pop().has_value());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ring, VirtQueueFaultTest, testing::ValuesIn(RingFaults()),
                         [](const auto& made) { return NameOf(made.param); });

}  // namespace
}  // namespace hull
