// Block against a guest that lies, an engine that comes up short, and resets at bad times.
#include <endian.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/fakes/ring_faults.h"
#include "vmm/virtio/block/block_fixture.h"
#include "vmm/virtio/block/limits.h"

namespace hull::block {
namespace {

constexpr size_t kDiskBytes = 64 * 1024;
constexpr uint64_t kSectors = kDiskBytes / 512;

std::string Range(uint64_t sector, uint32_t sectors, uint32_t flags = 0) {
  return BytesOf(virtio_blk_discard_write_zeroes{
      .sector = htole64(sector), .num_sectors = htole32(sectors), .flags = htole32(flags)});
}

std::string Ranges(size_t count) {
  std::string ranges;
  for (size_t i = 0; i < count; ++i) ranges += Range(i, 1);
  return ranges;
}

// A request that is not what it should be, its status, and a disk that is unchanged.
struct Lie {
  const char* name;
  uint8_t status;
  std::function<void(FakeRing::Builder&)> tell;
  Block::Options options = {.id = "disk", .discard = true};
};

class BlockLieTest : public BlockFixture, public testing::WithParamInterface<Lie> {};

TEST_P(BlockLieTest, GetsItsStatusAndChangesNothing) {
  UseSynchronous();
  const std::string content = Pattern(kDiskBytes);
  MakeDisk(content, GetParam().options);
  auto chain = ring().Chain();
  GetParam().tell(chain);
  const Answer answer = Await(chain.Submit());
  EXPECT_EQ(answer.status, GetParam().status);
  EXPECT_EQ(answer.data.find_first_not_of('\0'), std::string::npos) << "data leaked";
  EXPECT_EQ(ContentOf(file_.get()), content);
  EXPECT_EQ(Counter("guest_errors"), 1U);
  // And the disk works on.
  EXPECT_EQ(Read(0, 512).data, content.substr(0, 512));
}

FakeRing::Builder& Header(FakeRing::Builder& chain, uint32_t type, uint64_t sector = 0) {
  return chain.Readable(HeaderOf(type, sector));
}

const Lie kLies[] = {
    {"ShortHeader", VIRTIO_BLK_S_IOERR,
     [](auto& c) { c.Readable(std::string(15, '\0')).Writable(513); }},
    {"NoHeader", VIRTIO_BLK_S_IOERR, [](auto& c) { c.Writable(513); }},
    {"UnknownType", VIRTIO_BLK_S_UNSUPP, [](auto& c) { Header(c, 99).Writable(1); }},
    {"TypeOfAllOnes", VIRTIO_BLK_S_UNSUPP, [](auto& c) { Header(c, 0xffffffff).Writable(1); }},
    {"ScsiCommand", VIRTIO_BLK_S_UNSUPP,
     [](auto& c) { Header(c, VIRTIO_BLK_T_SCSI_CMD).Writable(1); }},
    {"SecureErase", VIRTIO_BLK_S_UNSUPP,
     [](auto& c) { Header(c, VIRTIO_BLK_T_SECURE_ERASE).Readable(Range(0, 1)).Writable(1); }},
    {"ReadOfHalfASector", VIRTIO_BLK_S_IOERR,
     [](auto& c) { Header(c, VIRTIO_BLK_T_IN).Writable(257); }},
    {"ReadBeyondTheEnd", VIRTIO_BLK_S_IOERR,
     [](auto& c) { Header(c, VIRTIO_BLK_T_IN, kSectors - 1).Writable(1025); }},
    {"ReadFarBeyondTheEnd", VIRTIO_BLK_S_IOERR,
     [](auto& c) { Header(c, VIRTIO_BLK_T_IN, kSectors + 1).Writable(1); }},
    {"ReadWhereTheSectorWraps", VIRTIO_BLK_S_IOERR,
     [](auto& c) { Header(c, VIRTIO_BLK_T_IN, UINT64_MAX).Writable(513); }},
    {"ReadWhereTheByteWraps", VIRTIO_BLK_S_IOERR,
     [](auto& c) { Header(c, VIRTIO_BLK_T_IN, uint64_t{1} << 55U).Writable(513); }},
    {"WriteOfHalfASector", VIRTIO_BLK_S_IOERR,
     [](auto& c) { Header(c, VIRTIO_BLK_T_OUT).Readable(std::string(511, 'x')).Writable(1); }},
    {"WriteBeyondTheEnd", VIRTIO_BLK_S_IOERR,
     [](auto& c) {
       Header(c, VIRTIO_BLK_T_OUT, kSectors - 1).Readable(std::string(1024, 'x')).Writable(1);
     }},
    {"WriteToAReadOnlyDisk",
     VIRTIO_BLK_S_IOERR,
     [](auto& c) { Header(c, VIRTIO_BLK_T_OUT).Readable(std::string(512, 'x')).Writable(1); },
     {.id = "disk", .read_only = true}},
    {"DiscardOnAReadOnlyDisk",
     VIRTIO_BLK_S_UNSUPP,
     [](auto& c) { Header(c, VIRTIO_BLK_T_DISCARD).Readable(Range(0, 8)).Writable(1); },
     {.id = "disk", .read_only = true, .discard = true}},
    {"DiscardThatWasNotOffered",
     VIRTIO_BLK_S_UNSUPP,
     [](auto& c) { Header(c, VIRTIO_BLK_T_DISCARD).Readable(Range(0, 8)).Writable(1); },
     {.id = "disk"}},
    {"DiscardWithUnmap", VIRTIO_BLK_S_UNSUPP,
     [](auto& c) { Header(c, VIRTIO_BLK_T_DISCARD).Readable(Range(0, 8, 1)).Writable(1); }},
    {"DiscardWithUnknownFlag", VIRTIO_BLK_S_UNSUPP,
     [](auto& c) { Header(c, VIRTIO_BLK_T_DISCARD).Readable(Range(0, 8, 4)).Writable(1); }},
    {"DiscardWithoutARange", VIRTIO_BLK_S_IOERR,
     [](auto& c) { Header(c, VIRTIO_BLK_T_DISCARD).Writable(1); }},
    {"DiscardWithHalfARange", VIRTIO_BLK_S_IOERR,
     [](auto& c) {
       Header(c, VIRTIO_BLK_T_DISCARD).Readable(Range(0, 8) + "12345678").Writable(1);
     }},
    {"DiscardWithTooManyRanges", VIRTIO_BLK_S_IOERR,
     [](auto& c) {
       Header(c, VIRTIO_BLK_T_DISCARD).Readable(Ranges(kMaxDiscardRanges + 1)).Writable(1);
     }},
    {"DiscardWhoseSecondRangeIsBeyondTheEnd", VIRTIO_BLK_S_IOERR,
     [](auto& c) {
       Header(c, VIRTIO_BLK_T_DISCARD).Readable(Range(0, 8) + Range(kSectors, 1)).Writable(1);
     }},
    {"DiscardOfMoreThanOffered", VIRTIO_BLK_S_IOERR,
     [](auto& c) {
       Header(c, VIRTIO_BLK_T_DISCARD).Readable(Range(0, kMaxRangeSectors + 1)).Writable(1);
     }},
    {"WriteZeroesWhereTheSectorWraps", VIRTIO_BLK_S_IOERR,
     [](auto& c) {
       Header(c, VIRTIO_BLK_T_WRITE_ZEROES).Readable(Range(UINT64_MAX, 8)).Writable(1);
     }},
    {"WriteZeroesWithTwoRanges", VIRTIO_BLK_S_IOERR,
     [](auto& c) { Header(c, VIRTIO_BLK_T_WRITE_ZEROES).Readable(Ranges(2)).Writable(1); }},
};

INSTANTIATE_TEST_SUITE_P(AllLies, BlockLieTest, testing::ValuesIn(kLies),
                         [](const auto& lie) { return std::string(lie.param.name); });

class BlockMisbehaviourTest : public BlockFixture {};

TEST_F(BlockMisbehaviourTest, RequestWithoutRoomForAStatusNeedsAReset) {
  UseSynchronous();
  MakeDisk(Pattern(kDiskBytes));
  ring().Chain().Readable(HeaderOf(VIRTIO_BLK_T_FLUSH, 0)).Submit();
  EXPECT_FALSE(harness_->Notify(0));
  EXPECT_TRUE(harness_->Reset());
  ASSERT_TRUE(harness_->Activate());
  EXPECT_EQ(Read(0, 512).status, VIRTIO_BLK_S_OK);
}

TEST_F(BlockMisbehaviourTest, DataThatChangesAfterTheCheckIsNotCheckedAgain) {
  HeldEngine& engine = UseHeld();
  MakeDisk(Pattern(kDiskBytes));
  const GuestAddress header = harness_->guest().Place(HeaderOf(VIRTIO_BLK_T_IN, 1));
  const uint16_t head = ring().Chain().ReadableAt(header, 16).Writable(512).Writable(1).Submit();
  ASSERT_TRUE(harness_->Notify(0));
  ASSERT_EQ(engine.held.size(), 1U);
  harness_->guest().Write(header, HeaderOf(VIRTIO_BLK_T_OUT, kSectors));
  EXPECT_EQ(engine.held[0]->offset, 512U);
  EXPECT_EQ(engine.held[0]->kind, DiskOperation::Kind::kRead);
  engine.Finish(512);
  EXPECT_EQ(Await(head).status, VIRTIO_BLK_S_OK);
}

TEST_F(BlockMisbehaviourTest, ShortTransfersAreContinuedWhereTheyStopped) {
  HeldEngine& engine = UseHeld();
  MakeDisk(Pattern(kDiskBytes));
  const uint16_t head = ring()
                            .Chain()
                            .Readable(HeaderOf(VIRTIO_BLK_T_OUT, 4))
                            .Readable(std::string(700, 'x'))
                            .Readable(std::string(324, 'y'))
                            .Writable(1)
                            .Submit();
  ASSERT_TRUE(harness_->Notify(0));
  engine.Finish(1);
  EXPECT_EQ(engine.held.at(0)->offset, 4 * 512U + 1);
  EXPECT_EQ(engine.held[0]->vectors[0].iov_len, 699U);
  engine.Finish(700);
  EXPECT_EQ(engine.held.at(0)->offset, 4 * 512U + 701);
  EXPECT_EQ(engine.held[0]->vectors[0].iov_len, 323U);
  engine.Finish(323);
  EXPECT_EQ(Await(head).status, VIRTIO_BLK_S_OK);
  EXPECT_TRUE(engine.held.empty());
}

TEST_F(BlockMisbehaviourTest, ErrorAfterAPartReportsOnlyThePart) {
  HeldEngine& engine = UseHeld();
  MakeDisk(Pattern(kDiskBytes));
  const uint16_t head =
      ring().Chain().Readable(HeaderOf(VIRTIO_BLK_T_IN, 0)).Writable(1025).Submit();
  ASSERT_TRUE(harness_->Notify(0));
  engine.Finish(512);
  engine.Finish(-EIO);
  const Answer answer = Await(head);
  EXPECT_EQ(answer.status, VIRTIO_BLK_S_IOERR);
  EXPECT_EQ(answer.used, 512U);
}

TEST_F(BlockMisbehaviourTest, ZeroesAreWrittenWhereTheFileSystemCannotZero) {
  HeldEngine& engine = UseHeld();
  MakeDisk(Pattern(4 << 20));
  const uint16_t head = ring()
                            .Chain()
                            .Readable(HeaderOf(VIRTIO_BLK_T_WRITE_ZEROES, 0))
                            .Readable(Range(8, 2056))
                            .Writable(1)
                            .Submit();
  ASSERT_TRUE(harness_->Notify(0));
  EXPECT_EQ(engine.held.at(0)->kind, DiskOperation::Kind::kZeroRange);
  engine.Finish(-EOPNOTSUPP);
  EXPECT_EQ(engine.held.at(0)->kind, DiskOperation::Kind::kWrite);
  EXPECT_EQ(engine.held[0]->offset, 8 * 512U);
  engine.Finish(1 << 20);
  EXPECT_EQ(engine.held.at(0)->offset, 8 * 512U + (1 << 20));
  EXPECT_EQ(engine.held[0]->vector_count, 1U);
  engine.Finish(4096);
  EXPECT_EQ(Await(head).status, VIRTIO_BLK_S_OK);
}

TEST_F(BlockMisbehaviourTest, DiscardThatTheFileSystemCannotDoIsUnsupported) {
  HeldEngine& engine = UseHeld();
  MakeDisk(Pattern(kDiskBytes), {.id = "disk", .discard = true});
  const uint16_t head = ring()
                            .Chain()
                            .Readable(HeaderOf(VIRTIO_BLK_T_DISCARD, 0))
                            .Readable(Range(8, 8))
                            .Writable(1)
                            .Submit();
  ASSERT_TRUE(harness_->Notify(0));
  engine.Finish(-EOPNOTSUPP);
  EXPECT_EQ(Await(head).status, VIRTIO_BLK_S_UNSUPP);
}

TEST_F(BlockMisbehaviourTest, DriverThatCannotFlushGetsDurableWrites) {
  HeldEngine& engine = UseHeld();
  MakeDisk(Pattern(kDiskBytes));
  ASSERT_TRUE(harness_->Reset());
  ASSERT_TRUE(harness_->Activate(DeviceHarness::kRingFeatures));
  ring()
      .Chain()
      .Readable(HeaderOf(VIRTIO_BLK_T_OUT, 0))
      .Readable(std::string(512, 'x'))
      .Writable(1)
      .Submit();
  ASSERT_TRUE(harness_->Notify(0));
  EXPECT_EQ(engine.held.at(0)->kind, DiskOperation::Kind::kWriteDurable);
}

TEST_F(BlockMisbehaviourTest, ResetIsAnsweredWhenNothingIsInFlightAnyMore) {
  HeldEngine& engine = UseHeld();
  MakeDisk(Pattern(kDiskBytes));
  for (int i = 0; i < 2; ++i)
    ring().Chain().Readable(HeaderOf(VIRTIO_BLK_T_IN, 0)).Writable(1024).Writable(1).Submit();
  ASSERT_TRUE(harness_->Notify(0));
  ASSERT_EQ(engine.held.size(), 2U);
  bool answered = false;
  device_->Reset([&] { answered = true; });
  EXPECT_FALSE(answered);
  engine.Finish(1024);
  EXPECT_FALSE(answered);
  engine.Finish(512);  // short: not continued any more
  EXPECT_TRUE(answered);
  EXPECT_TRUE(engine.held.empty());
  EXPECT_EQ(ring().used_index(), 0) << "the ring was touched after the reset";
  ASSERT_TRUE(harness_->Activate());
  ring().Chain().Readable(HeaderOf(VIRTIO_BLK_T_FLUSH, 0)).Writable(1).Submit();
  ASSERT_TRUE(harness_->Notify(0));
  engine.Finish(0);
  EXPECT_EQ(ring().used_index(), 1);
}

TEST_F(BlockMisbehaviourTest, DeviceThatEndsWithRequestsInFlightWaitsForThem) {
  UseIoUring();
  MakeDisk(Pattern(kDiskBytes));
  for (int i = 0; i < 20; ++i)
    ring()
        .Chain()
        .Readable(HeaderOf(VIRTIO_BLK_T_OUT, 0))
        .Readable(std::string(4096, 'x'))
        .Writable(1)
        .Submit();
  ASSERT_TRUE(harness_->Notify(0));
  device_.reset();  // under AddressSanitizer: nothing completes into what is gone
  loop_->PollFor(std::chrono::milliseconds(10));
}

TEST_F(BlockMisbehaviourTest, MoreRequestsThanTheRingHoldsAreAllAnswered) {
  UseIoUring();
  MakeDisk(Pattern(kDiskBytes));
  size_t answered = 0;
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 128; ++i)
      ring()
          .Chain()
          .Indirect()
          .Readable(HeaderOf(VIRTIO_BLK_T_IN, static_cast<uint64_t>(i % 100)))
          .Writable(512)
          .Writable(1)
          .Submit();
    ASSERT_TRUE(harness_->Notify(0));
    const auto end = std::chrono::steady_clock::now() + kPatience;
    const size_t wanted = answered + 128;
    while (answered < wanted && std::chrono::steady_clock::now() < end) {
      while (ring().TakeUsed()) ++answered;
      loop_->PollFor(std::chrono::milliseconds(1));
    }
    ASSERT_EQ(answered, wanted);
  }
}

class BlockRingFaultTest : public BlockFixture, public testing::WithParamInterface<RingFault> {};

TEST_P(BlockRingFaultTest, NeedsAResetAndWorksAfterIt) {
  UseIoUring();
  MakeDisk(Pattern(kDiskBytes));
  GetParam().commit(ring());
  EXPECT_FALSE(harness_->Notify(0));
  EXPECT_TRUE(harness_->Reset());
  ASSERT_TRUE(harness_->Activate());
  EXPECT_EQ(Read(0, 512).status, VIRTIO_BLK_S_OK);
}

INSTANTIATE_TEST_SUITE_P(AllFaults, BlockRingFaultTest, testing::ValuesIn(RingFaults()),
                         [](const auto& fault) { return NameOf(fault.param); });

}  // namespace
}  // namespace hull::block
