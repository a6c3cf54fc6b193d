#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <string_view>

#include "vmm/base/unique_fd.h"
#include "vmm/memory/guest_memory.h"
#include "vmm/memory/host_mappings.h"

namespace hull {
namespace {

constexpr uint64_t kPage = GuestMemory::kPageBytes;

GuestRange Range(uint64_t start, uint64_t size_bytes) {
  return GuestRange::Make(GuestAddress(start), size_bytes).value();
}

std::span<const std::byte> Bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string Text(const GuestMemory& memory, uint64_t at, size_t size) {
  std::string text(size, '?');
  const bool found = memory.Read(GuestAddress(at), std::as_writable_bytes(std::span(text)));
  return found ? text : "no memory";
}

UniqueFd FileOf(std::string_view content) {
  UniqueFd fd(::memfd_create("memory_test", MFD_CLOEXEC));
  if (::write(fd.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size())) {
    ADD_FAILURE() << "write";
  }
  return fd;
}

TEST(GuestAddressTest, SumThatWrapsIsNothing) {
  EXPECT_EQ(GuestAddress(UINT64_MAX - 1).Add(1), GuestAddress(UINT64_MAX));
  EXPECT_EQ(GuestAddress(UINT64_MAX).Add(1), std::nullopt);
}

TEST(GuestRangeTest, RangeThatWrapsIsNothing) {
  EXPECT_FALSE(GuestRange::Make(GuestAddress(UINT64_MAX), 1).has_value());
  EXPECT_TRUE(GuestRange::Make(GuestAddress(UINT64_MAX), 0).has_value());
}

TEST(GuestRangeTest, NeighboursDoNotOverlap) {
  EXPECT_FALSE(Range(0, 10).Overlaps(Range(10, 10)));
  EXPECT_TRUE(Range(0, 11).Overlaps(Range(10, 10)));
  EXPECT_FALSE(Range(5, 0).Overlaps(Range(0, 10)));
  EXPECT_TRUE(Range(0, 10).Contains(Range(2, 8)));
  EXPECT_FALSE(Range(0, 10).Contains(Range(2, 9)));
}

class GuestMemoryTest : public testing::Test {
 protected:
  // Two regions with a hole, and a read-only one that touches the second.
  void SetUp() override {
    ASSERT_TRUE(memory_.AddRegion(Range(0, 4 * kPage), GuestAccess::kReadWrite));
    ASSERT_TRUE(memory_.AddRegion(Range(0x100000, 2 * kPage), GuestAccess::kReadWrite));
    ASSERT_TRUE(memory_.AddRegion(Range(0x102000, 2 * kPage), GuestAccess::kReadOnly));
  }

  GuestMemory memory_;
};

TEST(GuestMemoryHintTest, PopulatedFilePagesAreTheGuestsOwn) {
  const std::string content(2 * kPage, 'F');
  const UniqueFd fd = FileOf(content);
  GuestMemory memory;
  ASSERT_TRUE(memory.AddRegion(Range(0, 4 * kPage), GuestAccess::kReadWrite));
  ASSERT_TRUE(memory.MapFile(GuestAddress(0), fd.get(), 0, 2 * kPage));
  memory.Advise(Range(0, kPage), GuestMemory::Hint::kWriteSoon);
  memory.Advise(Range(kPage, kPage), GuestMemory::Hint::kReadSoon);
  // What the file says later shows through where nothing was copied.
  ASSERT_EQ(::pwrite(fd.get(), "N", 1, 0), 1);
  ASSERT_EQ(::pwrite(fd.get(), "N", 1, kPage), 1);
  EXPECT_EQ(Text(memory, 0, 1), "F");
  EXPECT_EQ(Text(memory, kPage, 1), "N");
}

TEST(GuestMemoryCopyTest, FileIsCopiedToWhereThereIsMemoryOnly) {
  const UniqueFd fd = FileOf("0123456789");
  GuestMemory memory;
  ASSERT_TRUE(memory.AddRegion(Range(0, kPage), GuestAccess::kReadWrite));
  ASSERT_TRUE(memory.AddRegion(Range(kPage, kPage), GuestAccess::kReadOnly));
  ASSERT_TRUE(memory.CopyFile(GuestAddress(5), fd.get(), 2, 8));
  EXPECT_EQ(Text(memory, 4, 10), std::string("\00023456789\0", 10));
  EXPECT_FALSE(memory.CopyFile(GuestAddress(0), fd.get(), 2, 9));  // the file is shorter
  EXPECT_FALSE(memory.CopyFile(GuestAddress(kPage - 1), fd.get(), 0, 2));
  EXPECT_FALSE(memory.CopyFile(GuestAddress(kPage), fd.get(), 0, 2));
}

TEST(GuestMemoryHintTest, HintOutsideOfMemoryIsIgnored) {
  GuestMemory memory;
  ASSERT_TRUE(memory.AddRegion(Range(0, kPage), GuestAccess::kReadWrite));
  memory.Advise(Range(0, 2 * kPage), GuestMemory::Hint::kWriteSoon);
  memory.Advise(Range(8 * kPage, kPage), GuestMemory::Hint::kSmallPages);
  EXPECT_EQ(Text(memory, 0, 1), std::string(1, '\0'));
}

TEST_F(GuestMemoryTest, WhatIsWrittenIsRead) {
  EXPECT_TRUE(memory_.Write(GuestAddress(0x100ffe), Bytes("hull")));
  EXPECT_EQ(Text(memory_, 0x100ffe, 4), "hull");
  EXPECT_TRUE(memory_.WriteObject<uint32_t>(GuestAddress(3), 0x01020304));
  EXPECT_EQ(memory_.ReadObject<uint32_t>(GuestAddress(3)), 0x01020304U);
  EXPECT_EQ(memory_.ReadObject<uint8_t>(GuestAddress(3)), 4);
}

TEST_F(GuestMemoryTest, AccessOutsideOrAcrossARegionFindsNothing) {
  struct Case {
    uint64_t at;
    uint64_t size_bytes;
    bool readable;
    bool writable;
  };
  for (const Case& c : {
           Case{0, 4 * kPage, true, true},
           Case{0, 4 * kPage + 1, false, false},
           Case{4 * kPage, 1, false, false},
           Case{4 * kPage - 1, 1, true, true},
           Case{0xfffff, 2, false, false},  // begins in the hole
           Case{0x101fff, 1, true, true},
           Case{0x101fff, 2, false, false},  // two regions
           Case{0x102000, 1, true, false},
           Case{0x103fff, 1, true, false},
           Case{0x104000, 1, false, false},
           Case{0, UINT64_MAX, false, false},
           Case{1, UINT64_MAX, false, false},
           Case{UINT64_MAX, 1, false, false},
           Case{UINT64_MAX, UINT64_MAX, false, false},
           Case{0, 0, false, false},
       }) {
    EXPECT_EQ(memory_.Readable(GuestAddress(c.at), c.size_bytes).has_value(), c.readable) << c.at;
    EXPECT_EQ(memory_.Writable(GuestAddress(c.at), c.size_bytes).has_value(), c.writable) << c.at;
  }
}

TEST_F(GuestMemoryTest, FailedAccessCopiesNothing) {
  EXPECT_FALSE(memory_.Write(GuestAddress(4 * kPage - 2), Bytes("hull")));
  EXPECT_EQ(Text(memory_, 4 * kPage - 2, 2), std::string(2, '\0'));
  EXPECT_FALSE(memory_.Write(GuestAddress(0x102000), Bytes("hull")));
  EXPECT_EQ(Text(memory_, 0x102000, 4), std::string(4, '\0'));
}

TEST_F(GuestMemoryTest, RegionsThatAreNotPagesOrOverlapAreRefused) {
  EXPECT_FALSE(memory_.AddRegion(Range(0x200000, 0), GuestAccess::kReadWrite));
  EXPECT_FALSE(memory_.AddRegion(Range(0x200001, kPage), GuestAccess::kReadWrite));
  EXPECT_FALSE(memory_.AddRegion(Range(0x200000, kPage - 1), GuestAccess::kReadWrite));
  EXPECT_FALSE(memory_.AddRegion(Range(0xff000, 2 * kPage), GuestAccess::kReadWrite));
  const Status huge =
      memory_.AddRegion(Range(0x200000, uint64_t{1} << 62U), GuestAccess::kReadWrite);
  ASSERT_FALSE(huge);
  EXPECT_EQ(huge.error().code(), ErrorCode::kExhausted);
}

TEST_F(GuestMemoryTest, SizesAndMappingsTellTheRegionsInOrder) {
  EXPECT_EQ(memory_.ram_bytes(), 6 * kPage);
  EXPECT_EQ(memory_.end(), GuestAddress(0x104000));
  const auto mappings = HostMappings::Of(memory_);
  ASSERT_EQ(mappings.size(), 3U);
  EXPECT_EQ(mappings[1].range, Range(0x100000, 2 * kPage));
  EXPECT_FALSE(mappings[1].read_only);
  EXPECT_TRUE(mappings[2].read_only);
}

TEST_F(GuestMemoryTest, MappingOfAPartLiesWhollyInOneRegion) {
  const auto whole = HostMappings::Of(memory_)[1];
  const auto part = HostMappings::Of(memory_, Range(0x101000, kPage));
  ASSERT_TRUE(part.has_value());
  EXPECT_EQ(part->range, Range(0x101000, kPage));
  EXPECT_EQ(part->host_address, whole.host_address + kPage);
  EXPECT_FALSE(HostMappings::Of(memory_, Range(0x101000, 2 * kPage)).has_value());
  EXPECT_FALSE(HostMappings::Of(memory_, Range(0x101000, 0)).has_value());
}

TEST(GuestMemoryMappingTest, LargeRegionIsAlignedForHugePages) {
  GuestMemory memory;
  ASSERT_TRUE(memory.AddRegion(Range(0x301000, 0x800000), GuestAccess::kReadWrite));
  EXPECT_EQ(HostMappings::Of(memory)[0].host_address % 0x200000, 0x101000U);
  EXPECT_TRUE(memory.WriteObject<uint8_t>(GuestAddress(0x301000), 1));
  EXPECT_TRUE(memory.WriteObject<uint8_t>(GuestAddress(0xb00fff), 1));
}

TEST_F(GuestMemoryTest, PrivateFileIsWrittenInMemoryAlone) {
  const UniqueFd fd = FileOf(std::string(kPage, 'a') + "bcd");
  ASSERT_TRUE(memory_.MapFile(GuestAddress(kPage), fd.get(), 0, kPage + 3));
  EXPECT_EQ(Text(memory_, 2 * kPage - 1, 5), std::string("abcd\0", 5));
  EXPECT_TRUE(memory_.Write(GuestAddress(2 * kPage), Bytes("X")));
  EXPECT_EQ(Text(memory_, 2 * kPage, 3), "Xcd");
  char byte = 0;
  ASSERT_EQ(::pread(fd.get(), &byte, 1, kPage), 1);
  EXPECT_EQ(byte, 'b');
}

TEST_F(GuestMemoryTest, SharedFileShowsTheFileAndIsNeverWritten) {
  const UniqueFd fd = FileOf("layer");
  ASSERT_TRUE(memory_.MapFile(GuestAddress(0x103000), fd.get(), 0, 5));
  ASSERT_EQ(::pwrite(fd.get(), "LAYER", 5, 0), 5);
  EXPECT_EQ(Text(memory_, 0x103000, 5), "LAYER");
  EXPECT_FALSE(memory_.Write(GuestAddress(0x103000), Bytes("x")));
  const Status initialized = memory_.Initialize(GuestAddress(0x102fff), Bytes("xx"));
  ASSERT_FALSE(initialized);
  EXPECT_EQ(initialized.error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(GuestMemoryTest, InitializeFillsReadOnlyRegions) {
  ASSERT_TRUE(memory_.Initialize(GuestAddress(0x102ffe), Bytes("table")));
  EXPECT_EQ(Text(memory_, 0x102ffe, 5), "table");
  EXPECT_FALSE(memory_.Initialize(GuestAddress(0x103ffe), Bytes("table")));
}

TEST_F(GuestMemoryTest, FileMustBeThereInFull) {
  const UniqueFd fd = FileOf(std::string(kPage + 1, 'a'));
  EXPECT_FALSE(memory_.MapFile(GuestAddress(0), fd.get(), 0, kPage + 2));
  EXPECT_FALSE(memory_.MapFile(GuestAddress(0), fd.get(), 2 * kPage, 1));
  EXPECT_FALSE(memory_.MapFile(GuestAddress(1), fd.get(), 0, 1));
  EXPECT_FALSE(memory_.MapFile(GuestAddress(0), fd.get(), 1, 1));
  EXPECT_FALSE(memory_.MapFile(GuestAddress(3 * kPage), fd.get(), 0, kPage + 1));
  EXPECT_FALSE(memory_.MapFile(GuestAddress(0), fd.get(), 0, 0));
  EXPECT_FALSE(memory_.MapFile(GuestAddress(0), -1, 0, 1));
  EXPECT_EQ(Text(memory_, 0, 1), std::string(1, '\0'));
}

TEST_F(GuestMemoryTest, SlicesReachTheirPieceOnly) {
  const GuestSlice slice = memory_.Writable(GuestAddress(0x100010), 16).value();
  const GuestSlice part = slice.Sub(4, 8);
  part.Write(0, Bytes("abcdefgh"));
  part.Fill(6, 2, std::byte{'z'});
  EXPECT_EQ(Text(memory_, 0x100014, 8), "abcdefzz");
  EXPECT_EQ(part.ReadObject<uint16_t>(0), 0x6261);
  part.StoreRelease16(2, 0x1234);
  EXPECT_EQ(slice.LoadAcquire16(6), 0x1234);
  part.StoreRelease32(4, 0x89abcdef);
  EXPECT_EQ(slice.LoadAcquire32(8), 0x89abcdefU);
  EXPECT_EQ(slice.LoadRelaxed16(10), 0x89ab);
}

using GuestMemoryDeathTest = GuestMemoryTest;

TEST_F(GuestMemoryDeathTest, OwnMistakesWithASliceAbort) {
  const GuestSlice slice = memory_.Writable(GuestAddress(0), 16).value();
  std::array<std::byte, 4> four = {};
  EXPECT_DEATH(slice.Read(13, four), "size_bytes_");
  EXPECT_DEATH(slice.Read(UINT64_MAX, four), "size_bytes_");
  EXPECT_DEATH(slice.Write(13, four), "size_bytes_");
  EXPECT_DEATH(slice.Fill(1, 16, std::byte{0}), "size_bytes_");
  EXPECT_DEATH(slice.Sub(8, 9), "size_bytes_");
  EXPECT_DEATH(slice.LoadAcquire16(15), "size_bytes");
  EXPECT_DEATH(slice.LoadAcquire16(1), "alignof");
  const GuestSlice readable = memory_.Readable(GuestAddress(0), 16).value();
  EXPECT_DEATH(readable.Write(0, four), "writable_");
  EXPECT_DEATH(readable.StoreRelease16(0, 1), "writable_");
}

TEST_F(GuestMemoryTest, IoVectorsDriveAReadAcrossSlices) {
  const UniqueFd fd = FileOf("0123456789");
  IoVectors vectors;
  ASSERT_TRUE(vectors.Append(memory_.Writable(GuestAddress(0x100), 4).value()));
  ASSERT_TRUE(vectors.Append(GuestSlice()));
  ASSERT_TRUE(vectors.Append(memory_.Writable(GuestAddress(0x200), 6).value()));
  EXPECT_EQ(vectors.count(), 2U);
  EXPECT_EQ(vectors.total_bytes(), 10U);
  EXPECT_EQ(::preadv(fd.get(), vectors.data(), static_cast<int>(vectors.count()), 0), 10);
  EXPECT_EQ(Text(memory_, 0x100, 4) + Text(memory_, 0x200, 6), "0123456789");

  vectors.DropFront(5);
  EXPECT_EQ(vectors.count(), 1U);
  EXPECT_EQ(vectors.total_bytes(), 5U);
  EXPECT_EQ(::preadv(fd.get(), vectors.data(), static_cast<int>(vectors.count()), 0), 5);
  EXPECT_EQ(Text(memory_, 0x200, 6), "401234");
  vectors.DropFront(5);
  EXPECT_TRUE(vectors.empty());
  vectors.Clear();
  EXPECT_EQ(vectors.total_bytes(), 0U);
}

TEST_F(GuestMemoryTest, IoVectorsRefuseMoreThanOneSystemCallTakes) {
  IoVectors vectors;
  const GuestSlice byte = memory_.Readable(GuestAddress(0), 1).value();
  for (size_t i = 0; i < IoVectors::kMaximumCount; ++i) ASSERT_TRUE(vectors.Append(byte));
  EXPECT_TRUE(vectors.full());
  EXPECT_FALSE(vectors.Append(byte));
  EXPECT_EQ(vectors.total_bytes(), IoVectors::kMaximumCount);
}

}  // namespace
}  // namespace hull
