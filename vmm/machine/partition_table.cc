#include "vmm/machine/partition_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "vmm/base/check.h"

namespace hull {
namespace {

constexpr uint64_t kSectorBytes = 512;
constexpr uint64_t kPageBytes = 4096;
constexpr size_t kMaxFiles = 255;
constexpr uint64_t kMaxBytes = 1ULL << 60U;
constexpr uint64_t kPrimaryHeaderSector = 1;
constexpr uint64_t kPrimaryEntriesSector = 2;
// UEFI wants 16 KiB kept for entries, however few there are.
constexpr uint64_t kMinEntrySectors = 32;
constexpr uint32_t kRevision = 0x0001'0000;
constexpr size_t kNameCharacters = 36;

using Guid = std::array<uint8_t, 16>;

// 0FC63DAF-8483-4772-8E79-3D69D8477DE4, "Linux filesystem data", as it is stored.
constexpr Guid kLinuxData = {0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47,
                             0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4};

struct Header {
  char signature[8];
  uint32_t revision;
  uint32_t header_bytes;
  uint32_t header_crc;
  uint32_t reserved;
  uint64_t this_sector;
  uint64_t other_sector;
  uint64_t first_usable_sector;
  uint64_t last_usable_sector;
  Guid disk;
  uint64_t entries_sector;
  uint32_t entries;
  uint32_t entry_bytes;
  uint32_t entries_crc;
} __attribute__((packed));
static_assert(sizeof(Header) == 92);

struct Entry {
  Guid type;
  Guid id;
  uint64_t first_sector;
  uint64_t last_sector;
  uint64_t attributes;
  uint16_t name[kNameCharacters];
};
static_assert(sizeof(Entry) == 128);
static_assert(std::endian::native == std::endian::little);

uint64_t AlignUp(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// CRC-32 of IEEE 802.3, as UEFI uses it.
uint32_t Crc32(std::span<const std::byte> data) {
  constexpr uint32_t kPolynomial = 0xedb8'8320;
  static constexpr auto kTable = [] {
    std::array<uint32_t, 256> table = {};
    for (uint32_t i = 0; i < table.size(); ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) {
        value = (value & 1U) != 0 ? (value >> 1U) ^ kPolynomial : value >> 1U;
      }
      table[i] = value;
    }
    return table;
  }();
  uint32_t crc = 0xffff'ffff;
  for (const std::byte byte : data) {
    crc = (crc >> 8U) ^ kTable[(crc ^ static_cast<uint32_t>(byte)) & 0xffU];
  }
  return ~crc;
}

// An id of version 8 ("custom", RFC 9562): the same for the same files, so that a VM finds the same
// table every time. Number 0 is the disk, the others its partitions.
Guid MakeId(std::span<const PartitionTable::File> files, uint64_t number) {
  uint64_t hash = 0xcbf2'9ce4'8422'2325;  // FNV-1a
  const auto mix = [&hash](uint64_t value) { hash = (hash ^ value) * 0x0000'0100'0000'01b3; };
  for (const PartitionTable::File& file : files) {
    for (const char c : file.name) mix(static_cast<unsigned char>(c));
    mix(file.size_bytes);
  }
  Guid id = {};
  std::memcpy(id.data(), &hash, sizeof(hash));
  std::memcpy(id.data() + sizeof(hash), &number, sizeof(number));
  id[7] = static_cast<uint8_t>((id[7] & 0x0fU) | 0x80U);
  id[8] = 0x80;
  id[15] = static_cast<uint8_t>(number);
  return id;
}

// Where everything is, in sectors.
struct Layout {
  uint64_t entry_sectors = 0;
  uint64_t first_usable = 0;
  uint64_t last_usable = 0;
  uint64_t last = 0;  // the backup header
  uint64_t backup_entries() const { return last - entry_sectors; }
};

Entry MakeEntry(std::span<const PartitionTable::File> files, size_t index, uint64_t offset) {
  const PartitionTable::File& file = files[index];
  Entry entry = {};
  entry.type = kLinuxData;
  entry.id = MakeId(files, index + 1);
  entry.first_sector = offset / kSectorBytes;
  entry.last_sector = (offset + AlignUp(file.size_bytes, kPageBytes)) / kSectorBytes - 1;
  for (size_t i = 0; i < std::min(file.name.size(), kNameCharacters); ++i) {
    // UTF-16 of ASCII; what is beyond is of no use in a device name.
    const auto c = static_cast<unsigned char>(file.name[i]);
    entry.name[i] = c < 0x80 ? c : '?';
  }
  return entry;
}

Header MakeHeader(const Layout& layout, const Guid& disk, std::span<const std::byte> entries,
                  bool primary) {
  Header header = {};
  std::memcpy(header.signature, "EFI PART", sizeof(header.signature));
  header.revision = kRevision;
  header.header_bytes = sizeof(Header);
  header.this_sector = primary ? kPrimaryHeaderSector : layout.last;
  header.other_sector = primary ? layout.last : kPrimaryHeaderSector;
  header.first_usable_sector = layout.first_usable;
  header.last_usable_sector = layout.last_usable;
  header.disk = disk;
  header.entries_sector = primary ? kPrimaryEntriesSector : layout.backup_entries();
  header.entries = static_cast<uint32_t>(entries.size() / sizeof(Entry));
  header.entry_bytes = sizeof(Entry);
  header.entries_crc = Crc32(entries);
  header.header_crc = Crc32(std::as_bytes(std::span(&header, 1)));
  return header;
}

void PutAt(std::vector<std::byte>& bytes, uint64_t offset, std::span<const std::byte> data) {
  HULL_CHECK(offset + data.size() <= bytes.size());
  std::copy(data.begin(), data.end(), bytes.begin() + static_cast<ptrdiff_t>(offset));
}

// The "protective" table of old: one partition over everything, of a type that says GPT.
void PutProtectiveMbr(std::vector<std::byte>& bytes, uint64_t last_sector) {
  constexpr uint64_t kEntryOffset = 446;
  constexpr uint64_t kSignatureOffset = 510;
  std::array<uint8_t, 16> entry = {0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0};
  const auto sectors = static_cast<uint32_t>(std::min<uint64_t>(last_sector, 0xffff'ffff));
  std::memcpy(entry.data() + 12, &sectors, sizeof(sectors));
  PutAt(bytes, kEntryOffset, std::as_bytes(std::span(entry)));
  const std::array<uint8_t, 2> signature = {0x55, 0xaa};
  PutAt(bytes, kSignatureOffset, std::as_bytes(std::span(signature)));
}

Status CheckFiles(std::span<const PartitionTable::File> files) {
  if (files.empty() || files.size() > kMaxFiles) {
    return Fail(ErrorCode::kInvalidArgument, "{} partitions, not 1 to {}", files.size(), kMaxFiles);
  }
  uint64_t sum = 0;
  for (const PartitionTable::File& file : files) {
    if (file.size_bytes == 0) return Fail(ErrorCode::kInvalidArgument, "a partition is empty");
    if (file.size_bytes > kMaxBytes || (sum += file.size_bytes) > kMaxBytes) {
      return Fail(ErrorCode::kInvalidArgument, "partitions are too large together");
    }
  }
  return {};
}

}  // namespace

Result<PartitionTable> PartitionTable::Make(std::span<const File> files, uint64_t unit_bytes) {
  HULL_TRY(CheckFiles(files));
  Layout layout;
  layout.entry_sectors = std::max(
      kMinEntrySectors, AlignUp(files.size() * sizeof(Entry), kSectorBytes) / kSectorBytes);
  const uint64_t primary_bytes =
      AlignUp((kPrimaryEntriesSector + layout.entry_sectors) * kSectorBytes, kPageBytes);
  PartitionTable table;
  uint64_t end = primary_bytes;
  std::vector<Entry> entries;
  for (size_t i = 0; i < files.size(); ++i) {
    table.offsets_bytes.push_back(end);
    entries.push_back(MakeEntry(files, i, end));
    end += AlignUp(files[i].size_bytes, kPageBytes);
  }
  const uint64_t backup_bytes = AlignUp((layout.entry_sectors + 1) * kSectorBytes, kPageBytes);
  table.size_bytes = AlignUp(end + backup_bytes, unit_bytes);
  table.backup_offset_bytes = table.size_bytes - backup_bytes;
  layout.first_usable = primary_bytes / kSectorBytes;
  layout.last_usable = table.backup_offset_bytes / kSectorBytes - 1;
  layout.last = table.size_bytes / kSectorBytes - 1;

  const Guid disk = MakeId(files, 0);
  const auto entry_bytes = std::as_bytes(std::span(entries));
  table.primary.resize(primary_bytes);
  PutProtectiveMbr(table.primary, layout.last);
  const Header primary = MakeHeader(layout, disk, entry_bytes, true);
  PutAt(table.primary, kPrimaryHeaderSector * kSectorBytes, std::as_bytes(std::span(&primary, 1)));
  PutAt(table.primary, kPrimaryEntriesSector * kSectorBytes, entry_bytes);
  table.backup.resize(backup_bytes);
  const Header backup = MakeHeader(layout, disk, entry_bytes, false);
  PutAt(table.backup, layout.backup_entries() * kSectorBytes - table.backup_offset_bytes,
        entry_bytes);
  PutAt(table.backup, layout.last * kSectorBytes - table.backup_offset_bytes,
        std::as_bytes(std::span(&backup, 1)));
  return table;
}

}  // namespace hull
