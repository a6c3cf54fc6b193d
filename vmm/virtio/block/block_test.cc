// Block with a driver that keeps to the protocol, on both kinds of engine.
#include "vmm/virtio/block/block.h"

#include <endian.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/virtio_ids.h>
#include <sys/stat.h>

#include <functional>
#include <string>

#include "vmm/virtio/block/block_fixture.h"
#include "vmm/virtio/block/limits.h"

namespace hull::block {
namespace {

constexpr size_t kDiskBytes = 64 * 1024;

std::string Range(uint64_t sector, uint32_t sectors, uint32_t flags = 0) {
  return BytesOf(virtio_blk_discard_write_zeroes{
      .sector = htole64(sector), .num_sectors = htole32(sectors), .flags = htole32(flags)});
}

enum class Kind { kIoUring, kSynchronous };

class BlockTest : public BlockFixture, public testing::WithParamInterface<Kind> {
 protected:
  BlockTest() {
    if (GetParam() == Kind::kIoUring) {
      UseIoUring();
    } else {
      UseSynchronous();
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Engines, BlockTest, testing::Values(Kind::kIoUring, Kind::kSynchronous),
                         [](const auto& kind) {
                           return kind.param == Kind::kIoUring ? "IoUring" : "Synchronous";
                         });

TEST_P(BlockTest, ConfigurationTellsCapacityAndLimits) {
  MakeDisk(Pattern(kDiskBytes), {.id = "disk", .discard = true});
  EXPECT_EQ(device_->device_id(), static_cast<uint32_t>(VIRTIO_ID_BLOCK));
  EXPECT_EQ(harness_->ReadConfig<uint64_t>(0), kDiskBytes / kSector);
  EXPECT_EQ(harness_->ReadConfig<uint32_t>(8), kMaxSegmentBytes);
  EXPECT_EQ(harness_->ReadConfig<uint32_t>(12), kMaxSegments);
  EXPECT_EQ(harness_->ReadConfig<uint32_t>(20), kSector);
  EXPECT_EQ(harness_->ReadConfig<uint32_t>(36), kMaxRangeSectors);
}

TEST_P(BlockTest, OffersOnlyWhatTheDiskCanDo) {
  const auto has = [this](unsigned bit) { return ((device_->features() >> bit) & 1U) != 0; };
  MakeDisk(Pattern(kDiskBytes), {.id = "disk", .discard = true});
  EXPECT_TRUE(has(VIRTIO_BLK_F_FLUSH) && has(VIRTIO_BLK_F_DISCARD) &&
              has(VIRTIO_BLK_F_WRITE_ZEROES));
  EXPECT_FALSE(has(VIRTIO_BLK_F_RO) || has(VIRTIO_BLK_F_MQ));
  MakeDisk(Pattern(kDiskBytes));
  EXPECT_FALSE(has(VIRTIO_BLK_F_DISCARD));
  MakeDisk(Pattern(kDiskBytes), {.id = "disk", .read_only = true, .discard = true});
  EXPECT_TRUE(has(VIRTIO_BLK_F_RO));
  EXPECT_FALSE(has(VIRTIO_BLK_F_DISCARD) || has(VIRTIO_BLK_F_WRITE_ZEROES));
}

TEST_P(BlockTest, ReadsWhatTheFileHolds) {
  const std::string content = Pattern(kDiskBytes);
  MakeDisk(content);
  const Answer answer = Read(3, 4096);
  EXPECT_EQ(answer.status, VIRTIO_BLK_S_OK);
  EXPECT_EQ(answer.data, content.substr(3 * kSector, 4096));
  EXPECT_EQ(answer.used, 4097U);
  EXPECT_EQ(Counter("reads"), 1U);
  EXPECT_EQ(Counter("bytes_read"), 4096U);
}

TEST_P(BlockTest, ReadsAndWritesToTheVeryEnd) {
  std::string content = Pattern(kDiskBytes);
  MakeDisk(content);
  const uint64_t last = kDiskBytes / kSector - 1;
  EXPECT_EQ(Read(last, kSector).data, content.substr(kDiskBytes - kSector));
  EXPECT_EQ(Write(last, Pattern(kSector, 5)).status, VIRTIO_BLK_S_OK);
  content.replace(kDiskBytes - kSector, kSector, Pattern(kSector, 5));
  EXPECT_EQ(ContentOf(file_.get()), content);
}

TEST_P(BlockTest, WritesWhatTheGuestSaysWhereItSays) {
  std::string content = Pattern(kDiskBytes);
  MakeDisk(content);
  const Answer answer = Write(9, Pattern(8192, 77));
  EXPECT_EQ(answer.status, VIRTIO_BLK_S_OK);
  EXPECT_EQ(answer.used, 1U);
  content.replace(9 * kSector, 8192, Pattern(8192, 77));
  EXPECT_EQ(ContentOf(file_.get()), content);
  EXPECT_EQ(Counter("bytes_written"), 8192U);
}

TEST_P(BlockTest, EmptyTransfersAreFine) {
  MakeDisk(Pattern(kDiskBytes));
  EXPECT_EQ(Read(0, 0).status, VIRTIO_BLK_S_OK);
  EXPECT_EQ(Read(kDiskBytes / kSector, 0).status, VIRTIO_BLK_S_OK);
  EXPECT_EQ(Write(0, "").status, VIRTIO_BLK_S_OK);
}

TEST_P(BlockTest, FlushIsDone) {
  MakeDisk(Pattern(kDiskBytes));
  EXPECT_EQ(Ask(VIRTIO_BLK_T_FLUSH).status, VIRTIO_BLK_S_OK);
  EXPECT_EQ(Counter("flushes"), 1U);
  MakeDisk(Pattern(kDiskBytes), {.id = "disk", .read_only = true});
  EXPECT_EQ(Ask(VIRTIO_BLK_T_FLUSH).status, VIRTIO_BLK_S_OK);
}

TEST_P(BlockTest, IdIsPaddedOrCutToItsTwentyBytes) {
  MakeDisk(Pattern(kDiskBytes), {.id = "scratch"});
  EXPECT_EQ(Ask(VIRTIO_BLK_T_GET_ID, "", 21).data, std::string("scratch") + std::string(13, '\0'));
  MakeDisk(Pattern(kDiskBytes), {.id = "abcdefghijklmnopqrstuvwxyz"});
  EXPECT_EQ(Ask(VIRTIO_BLK_T_GET_ID, "", 21).data, "abcdefghijklmnopqrst");
  const Answer shorter = Ask(VIRTIO_BLK_T_GET_ID, "", 6);
  EXPECT_EQ(shorter.data, "abcde");
  EXPECT_EQ(shorter.status, VIRTIO_BLK_S_OK);
}

TEST_P(BlockTest, DiscardGivesSpaceBackAndReadsAsZeroes) {
  std::string content = Pattern(kDiskBytes);
  MakeDisk(content, {.id = "disk", .discard = true});
  struct stat before {};
  ASSERT_EQ(fstat(file_.get(), &before), 0);
  EXPECT_EQ(Ask(VIRTIO_BLK_T_DISCARD, Range(8, 16) + Range(64, 8)).status, VIRTIO_BLK_S_OK);
  struct stat after {};
  ASSERT_EQ(fstat(file_.get(), &after), 0);
  EXPECT_EQ(after.st_size, before.st_size);
  EXPECT_EQ(before.st_blocks - after.st_blocks, 24);
  content.replace(8 * kSector, 16 * kSector, 16 * kSector, '\0');
  content.replace(64 * kSector, 8 * kSector, 8 * kSector, '\0');
  EXPECT_EQ(ContentOf(file_.get()), content);
}

TEST_P(BlockTest, WriteZeroesReadsAsZeroesWithAndWithoutUnmap) {
  // The test's file is on tmpfs, which cannot zero a range: zeroes are written.
  for (const uint32_t flags : {0U, uint32_t{VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP}}) {
    std::string content = Pattern(4 << 20);
    MakeDisk(content);
    const uint32_t sectors = (3 << 20) / kSector + 3;
    EXPECT_EQ(Ask(VIRTIO_BLK_T_WRITE_ZEROES, Range(5, sectors, flags)).status, VIRTIO_BLK_S_OK);
    content.replace(5 * kSector, sectors * kSector, sectors * kSector, '\0');
    EXPECT_EQ(ContentOf(file_.get()), content);
  }
}

TEST_P(BlockTest, ManyRequestsAtOnceAreAllAnswered) {
  const std::string content = Pattern(1 << 20);
  MakeDisk(content);
  std::map<uint32_t, uint64_t> sectors;
  for (uint64_t i = 0; i < 42; ++i) {
    const uint64_t sector = (i * 37) % 2000;
    sectors[ring()
                .Chain()
                .Readable(HeaderOf(VIRTIO_BLK_T_IN, sector))
                .Writable(kSector)
                .Writable(1)
                .Submit()] = sector;
  }
  ASSERT_TRUE(harness_->Notify(0));
  size_t answered = 0;
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (answered < 42 && std::chrono::steady_clock::now() < end) {
    while (const auto used = ring().TakeUsed()) {
      ++answered;
      EXPECT_EQ(ring().Written(used->id),
                content.substr(sectors[used->id] * kSector, kSector) + '\0');
    }
    loop_->PollFor(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(answered, 42U);
}

// Where the descriptors are cut does not matter (virtio 1.2, 2.7.4.3 and 5.2.6).
struct Layout {
  const char* name;
  std::function<void(FakeRing::Builder&, const std::string& header, const std::string& data)> write;
  std::function<void(FakeRing::Builder&, const std::string& header)> read;  // of 1,024 bytes
};

class BlockLayoutTest : public BlockFixture, public testing::WithParamInterface<Layout> {};

TEST_P(BlockLayoutTest, ReadsAndWrites) {
  UseIoUring();
  std::string content = Pattern(kDiskBytes);
  MakeDisk(content);
  auto write = ring().Chain();
  const std::string data = Pattern(1024, 9);
  GetParam().write(write, HeaderOf(VIRTIO_BLK_T_OUT, 2), data);
  EXPECT_EQ(Await(write.Submit()).status, VIRTIO_BLK_S_OK);
  content.replace(2 * kSector, data.size(), data);
  EXPECT_EQ(ContentOf(file_.get()), content);

  auto read = ring().Chain();
  GetParam().read(read, HeaderOf(VIRTIO_BLK_T_IN, 1));
  const Answer answer = Await(read.Submit());
  EXPECT_EQ(answer.status, VIRTIO_BLK_S_OK);
  EXPECT_EQ(answer.data, content.substr(kSector, 1024));
  EXPECT_EQ(answer.used, 1025U);
}

const Layout kLayouts[] = {
    {"Usual", [](auto& c, auto& h, auto& d) { c.Readable(h).Readable(d).Writable(1); },
     [](auto& c, auto& h) { c.Readable(h).Writable(1024).Writable(1); }},
    {"HeaderAndDataTogether", [](auto& c, auto& h, auto& d) { c.Readable(h + d).Writable(1); },
     [](auto& c, auto& h) { c.Readable(h).Writable(1025); }},
    {"HeaderInPieces",
     [](auto& c, auto& h, auto& d) {
       c.Readable(h.substr(0, 1)).Readable(h.substr(1, 8)).Readable(h.substr(9) + d).Writable(1);
     },
     [](auto& c, auto& h) {
       c.Readable(h.substr(0, 15)).Readable(h.substr(15)).Writable(1024).Writable(1);
     }},
    {"DataInOddPieces",
     [](auto& c, auto& h, auto& d) {
       c.Readable(h).Readable(d.substr(0, 511)).Readable(d.substr(511, 2));
       c.Readable(d.substr(513)).Writable(1);
     },
     [](auto& c, auto& h) { c.Readable(h).Writable(3).Writable(1000).Writable(21).Writable(1); }},
    {"StatusBehindThePartOfTheData",
     [](auto& c, auto& h, auto& d) {
       c.Readable(h + d.substr(0, 7)).Readable(d.substr(7)).Writable(1);
     },
     [](auto& c, auto& h) { c.Readable(h).Writable(1000).Writable(25); }},
    {"Indirect",
     [](auto& c, auto& h, auto& d) { c.Indirect().Readable(h).Readable(d).Writable(1); },
     [](auto& c, auto& h) { c.Indirect().Readable(h).Writable(512).Writable(512).Writable(1); }},
};

INSTANTIATE_TEST_SUITE_P(AllLayouts, BlockLayoutTest, testing::ValuesIn(kLayouts),
                         [](const auto& layout) { return std::string(layout.param.name); });

TEST_P(BlockTest, DiskOfSeveralPartsShowsThemInTheirPlaces) {
  const std::string table = Pattern(700, 1);
  const std::string first = Pattern(5000, 2);
  const std::string second = Pattern(4096, 3);
  DiskContent content;
  content.size_bytes = 32 * kSector;
  content.fillings.push_back({.offset_bytes = 100, .data = {}});
  for (const char c : table) content.fillings[0].data.push_back(static_cast<std::byte>(c));
  content.files.push_back(
      {.offset_bytes = 10000, .fd = FileWith(second), .size_bytes = second.size()});
  content.files.push_back(
      {.offset_bytes = 2048, .fd = FileWith(first), .size_bytes = first.size()});
  std::string whole(content.size_bytes, '\0');
  whole.replace(100, table.size(), table);
  whole.replace(2048, first.size(), first);
  whole.replace(10000, second.size(), second);
  MakeDevice(std::move(content), {.id = "parts", .read_only = true});
  // All of it, and every way to begin and end.
  EXPECT_EQ(Read(0, 32 * kSector).data, whole);
  for (uint64_t sector = 0; sector < 32; ++sector)
    for (uint32_t count = 1; sector + count <= 32; count += 3)
      ASSERT_EQ(Read(sector, count * kSector).data, whole.substr(sector * kSector, count * kSector))
          << sector << " " << count;
}

TEST_P(BlockTest, ReadOnlyFileThatEndsInTheMiddleOfASectorIsPaddedWithZeroes) {
  const std::string content = Pattern(1000);
  MakeDisk(content, {.id = "disk", .read_only = true});
  EXPECT_EQ(Read(0, 1024).data, content + std::string(24, '\0'));
}

TEST_P(BlockTest, FileThatWasCutShortIsAnIoError) {
  MakeDisk(Pattern(kDiskBytes));
  ASSERT_EQ(ftruncate(file_.get(), 4096), 0);
  const Answer answer = Read(4, 8192);
  EXPECT_EQ(answer.status, VIRTIO_BLK_S_IOERR);
  EXPECT_EQ(Counter("host_errors"), 1U);
  // What lies before the cut is still fine.
  EXPECT_EQ(Read(0, 4096).status, VIRTIO_BLK_S_OK);
}

TEST_P(BlockTest, FullHostIsAnIoError) {
  DiskContent content;
  content.size_bytes = kDiskBytes;
  content.files.push_back({.offset_bytes = 0,
                           .fd = UniqueFd(open("/dev/full", O_RDWR | O_CLOEXEC)),
                           .size_bytes = kDiskBytes});
  MakeDevice(std::move(content));
  EXPECT_EQ(Write(0, Pattern(kSector)).status, VIRTIO_BLK_S_IOERR);
  EXPECT_EQ(Counter("host_errors"), 1U);
}

TEST(DiskContentTest, WhatIsNoDiskIsRefused) {
  EXPECT_FALSE(DiskContent::OfFile(FileWith(""), true));
  EXPECT_FALSE(DiskContent::OfFile(FileWith(Pattern(513)), false));
  EXPECT_FALSE(DiskContent::OfFile(UniqueFd(open("/", O_RDONLY | O_CLOEXEC)), true));
}

TEST(DiskContentTest, PartsThatDoNotFitAreRefused) {
  const auto create = [](uint64_t first_at, uint64_t first_size, uint64_t second_at) {
    DiskContent content;
    content.size_bytes = 4096;
    content.files.push_back({first_at, FileWith(""), first_size});
    content.files.push_back({second_at, FileWith(""), 1024});
    return DiskMap::Create(std::move(content), true).has_value();
  };
  EXPECT_TRUE(create(0, 1024, 1024));
  EXPECT_FALSE(create(0, 1025, 1024)) << "overlap";
  EXPECT_FALSE(create(0, 1024, 3073)) << "beyond the end";
  EXPECT_FALSE(create(0, UINT64_MAX, 1024)) << "wraps";
  EXPECT_FALSE(create(UINT64_MAX, 2, 1024)) << "wraps";
}

TEST(DiskContentTest, SeveralPartsCannotBeWritten) {
  DiskContent content;
  content.size_bytes = 4096;
  content.files.push_back({0, FileWith(""), 1024});
  EXPECT_FALSE(DiskMap::Create(std::move(content), false));
}

}  // namespace
}  // namespace hull::block
