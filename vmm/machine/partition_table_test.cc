#include "vmm/machine/partition_table.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace hull {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kSector = 512;
constexpr uint64_t kMiB = 1U << 20U;

using Files = std::vector<PartitionTable::File>;

template <typename T>
T At(const std::vector<std::byte>& bytes, uint64_t offset) {
  T value = {};
  EXPECT_LE(offset + sizeof(T), bytes.size());
  if (offset + sizeof(T) <= bytes.size()) std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

// The reference algorithm, bit by bit.
uint32_t SlowCrc(std::vector<std::byte> bytes) {
  uint32_t crc = 0xffff'ffff;
  for (const std::byte byte : bytes) {
    crc ^= static_cast<uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc & 1U) != 0 ? (crc >> 1U) ^ 0xedb8'8320U : crc >> 1U;
    }
  }
  return ~crc;
}

std::vector<std::byte> Part(const std::vector<std::byte>& bytes, uint64_t offset, uint64_t size) {
  return {bytes.begin() + static_cast<ptrdiff_t>(offset),
          bytes.begin() + static_cast<ptrdiff_t>(offset + size)};
}

// Checks a header and its entries as a reader of UEFI 2.10, 5.3.2 does.
void ExpectValidHeader(const std::vector<std::byte>& bytes, uint64_t start_bytes,
                       uint64_t header_at, uint64_t expected_this, uint64_t expected_other) {
  auto header = Part(bytes, header_at, 92);
  EXPECT_EQ(std::memcmp(header.data(), "EFI PART", 8), 0);
  EXPECT_EQ(At<uint32_t>(header, 12), 92U);
  const auto crc = At<uint32_t>(header, 16);
  std::fill_n(header.begin() + 16, 4, std::byte{0});
  EXPECT_EQ(SlowCrc(header), crc);
  EXPECT_EQ(At<uint64_t>(header, 24), expected_this);
  EXPECT_EQ(At<uint64_t>(header, 32), expected_other);
  const uint64_t entries_at = At<uint64_t>(header, 72) * kSector - start_bytes;
  const uint64_t entries_bytes = uint64_t{At<uint32_t>(header, 80)} * At<uint32_t>(header, 84);
  EXPECT_EQ(SlowCrc(Part(bytes, entries_at, entries_bytes)), At<uint32_t>(header, 88));
}

TEST(PartitionTableTest, BothCopiesAreValidAndPointAtEachOther) {
  for (const size_t count : {size_t{1}, size_t{2}, size_t{200}, size_t{255}}) {
    const PartitionTable table =
        PartitionTable::Make(Files(count, {.name = "n", .size_bytes = 5000}), 2 * kMiB).value();
    const uint64_t last = table.size_bytes / kSector - 1;
    EXPECT_EQ(table.backup_offset_bytes + table.backup.size(), table.size_bytes);
    ExpectValidHeader(table.primary, 0, kSector, 1, last);
    ExpectValidHeader(table.backup, table.backup_offset_bytes, table.backup.size() - kSector, last,
                      1);
    EXPECT_EQ(At<uint16_t>(table.primary, 510), 0xaa55);
    EXPECT_EQ(At<uint8_t>(table.primary, 450), 0xee);
  }
}

TEST(PartitionTableTest, FilesFollowEachOtherOnPages) {
  const Files files = {{.name = "sha256:abc", .size_bytes = 1},
                       {.name = "second", .size_bytes = kPage},
                       {.name = "third", .size_bytes = 3 * kMiB + 1}};
  const PartitionTable table = PartitionTable::Make(files, 2 * kMiB).value();
  EXPECT_EQ(table.size_bytes % (2 * kMiB), 0U);
  ASSERT_EQ(table.offsets_bytes.size(), 3U);
  EXPECT_GE(table.offsets_bytes[0], table.primary.size());
  EXPECT_EQ(table.offsets_bytes[1], table.offsets_bytes[0] + kPage);
  EXPECT_EQ(table.offsets_bytes[2], table.offsets_bytes[1] + kPage);
  EXPECT_GE(table.backup_offset_bytes, table.offsets_bytes[2] + 3 * kMiB + kPage);
  EXPECT_EQ(table.backup_offset_bytes % kPage, 0U);
  for (size_t i = 0; i < files.size(); ++i) {
    const uint64_t entry = 2 * kSector + i * 128;
    EXPECT_EQ(At<uint64_t>(table.primary, entry + 32) * kSector, table.offsets_bytes[i]);
    EXPECT_EQ((At<uint64_t>(table.primary, entry + 40) + 1) * kSector,
              table.offsets_bytes[i] + (files[i].size_bytes + kPage - 1) / kPage * kPage);
  }
  EXPECT_EQ(At<uint16_t>(table.primary, 2 * kSector + 56), 's');
}

TEST(PartitionTableTest, IdsAreDistinctAndTheSameEveryTime) {
  const Files files = {{.name = "a", .size_bytes = 1}, {.name = "a", .size_bytes = 1}};
  const PartitionTable table = PartitionTable::Make(files, kPage).value();
  const auto first = Part(table.primary, 2 * kSector + 16, 16);
  const auto second = Part(table.primary, 2 * kSector + 128 + 16, 16);
  const auto disk = Part(table.primary, kSector + 56, 16);
  EXPECT_NE(first, second);
  EXPECT_NE(first, disk);
  EXPECT_EQ(PartitionTable::Make(files, kPage)->primary, table.primary);
}

TEST(PartitionTableTest, LongNamesAreCut) {
  const PartitionTable table =
      PartitionTable::Make(Files{{.name = std::string(100, 'x'), .size_bytes = 1}}, kPage).value();
  EXPECT_EQ(At<uint16_t>(table.primary, 2 * kSector + 56 + 35 * 2), 'x');
  EXPECT_EQ(table.primary[2 * kSector + 128], std::byte{0});
}

TEST(PartitionTableTest, ImpossibleFilesAreRefused) {
  EXPECT_FALSE(PartitionTable::Make(Files{}, kPage).has_value());
  EXPECT_FALSE(PartitionTable::Make(Files(256, {.name = "n", .size_bytes = 1}), kPage).has_value());
  EXPECT_FALSE(PartitionTable::Make(Files{{.name = "n", .size_bytes = 0}}, kPage).has_value());
  EXPECT_FALSE(
      PartitionTable::Make(Files{{.name = "n", .size_bytes = UINT64_MAX}}, kPage).has_value());
  EXPECT_FALSE(
      PartitionTable::Make(Files(2, {.name = "n", .size_bytes = 1ULL << 60U}), kPage).has_value());
}

}  // namespace
}  // namespace hull
