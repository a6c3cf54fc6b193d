#include "guest-agent/archive/tar_writer.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace hull::archive {
namespace {

constexpr size_t kBlock = 512;

// ustar header (POSIX.1-2001, pax): where its fields are.
struct Field {
  size_t offset;
  size_t size;
};
constexpr Field kName{0, 100};
constexpr Field kMode{100, 8};
constexpr Field kUid{108, 8};
constexpr Field kGid{116, 8};
constexpr Field kSize{124, 12};
constexpr Field kTime{136, 12};
constexpr Field kChecksum{148, 8};
constexpr size_t kType = 156;
constexpr Field kLink{157, 100};
constexpr Field kMagic{257, 8};
constexpr Field kMajor{329, 8};
constexpr Field kMinor{337, 8};

using Block = std::array<char, kBlock>;

void PutText(Block& block, Field field, std::string_view text) {
  std::memcpy(block.data() + field.offset, text.data(), std::min(text.size(), field.size));
}

// Octal digits with a NUL behind them; false when the value does not fit.
bool PutNumber(Block& block, Field field, uint64_t value) {
  for (size_t i = field.size - 1; i-- > 0; value >>= 3) {
    block[field.offset + i] = static_cast<char>('0' + (value & 7));
  }
  return value == 0;
}

void PutChecksum(Block& block) {
  std::memset(block.data() + kChecksum.offset, ' ', kChecksum.size);
  uint64_t sum = 0;
  for (const char byte : block) sum += static_cast<unsigned char>(byte);
  PutNumber(block, {kChecksum.offset, 7}, sum);
}

// "LENGTH KEY=VALUE\n", where the length counts itself.
std::string Record(std::string_view key, std::string_view value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest + 1;
  while (fmt::formatted_size("{}", length) + rest != length) {
    length = fmt::formatted_size("{}", length) + rest;
  }
  std::string record = fmt::format("{} {}=", length, key);
  record.append(value).push_back('\n');
  return record;
}

bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const size_t more = first < 0x80                    ? 0
                        : first >= 0xc2 && first < 0xe0 ? 1
                        : first >= 0xe0 && first < 0xf0 ? 2
                        : first >= 0xf0 && first < 0xf5 ? 3
                                                        : 4;
    if (more == 4 || text.size() - i <= more) return false;
    for (size_t k = 1; k <= more; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    }
    i += more + 1;
  }
  return true;
}

char TypeOf(const Entry& entry) {
  if (entry.hard_link) return '1';
  switch (entry.mode & S_IFMT) {
    case S_IFLNK:
      return '2';
    case S_IFCHR:
      return '3';
    case S_IFBLK:
      return '4';
    case S_IFDIR:
      return '5';
    case S_IFIFO:
      return '6';
    default:
      return '0';
  }
}

std::string SparseMap(const Entry& entry) {
  std::string map = fmt::format("{}\n", entry.segments.size());
  for (const Segment& segment : entry.segments) {
    map += fmt::format("{}\n{}\n", segment.offset, segment.size);
  }
  map.resize((map.size() + kBlock - 1) / kBlock * kBlock, '\0');
  return map;
}

std::string TimeText(const Entry& entry) {
  // Readers do not agree on what a fraction means before 1970: whole seconds then.
  return entry.mtime_ns == 0 || entry.mtime_s < 0
             ? fmt::format("{}", entry.mtime_s)
             : fmt::format("{}.{:09}", entry.mtime_s, entry.mtime_ns);
}

}  // namespace

Status TarWriter::Emit(std::string_view text) {
  return sink_(std::as_bytes(std::span(text.data(), text.size())));
}

Status TarWriter::Pad() {
  const size_t over = in_entry_ % kBlock;
  in_entry_ = 0;
  if (over == 0) return {};
  return Emit(std::string(kBlock - over, '\0'));
}

Status TarWriter::ExtendedHeader(const std::string& records) {
  Block block{};
  PutText(block, kName, "PaxHeaders/entry");
  PutNumber(block, kMode, 0644);
  PutNumber(block, kUid, 0);
  PutNumber(block, kGid, 0);
  if (!PutNumber(block, kSize, records.size())) {
    return Fail(ErrorCode::kExhausted, "too many attributes");
  }
  PutNumber(block, kTime, 0);
  block[kType] = 'x';
  PutText(block, kMagic, std::string_view("ustar\00000", 8));
  PutChecksum(block);
  HULL_TRY(Emit(std::string_view(block.data(), block.size())));
  HULL_TRY(Emit(records));
  in_entry_ = records.size();
  return Pad();
}

Status TarWriter::Begin(const Entry& entry) {
  HULL_TRY(Pad());
  const bool regular = (entry.mode & S_IFMT) == S_IFREG && !entry.hard_link;
  std::string map;
  uint64_t data_bytes = regular ? entry.size : 0;
  Block block{};
  std::string records;
  const auto text = [&](Field field, const char* key, const std::string& value) {
    PutText(block, field, value);
    if (value.size() > field.size) records += Record(key, value);
  };
  if (!IsUtf8(entry.path) || !IsUtf8(entry.link)) records += Record("hdrcharset", "BINARY");
  if (regular && entry.sparse) {
    map = SparseMap(entry);
    data_bytes = map.size();
    for (const Segment& segment : entry.segments) data_bytes += segment.size;
    records += Record("GNU.sparse.major", "1") + Record("GNU.sparse.minor", "0") +
               Record("GNU.sparse.name", entry.path) +
               Record("GNU.sparse.realsize", fmt::format("{}", entry.size));
    PutText(block, kName, "GNUSparseFile.0/file");
  } else {
    text(kName, "path", entry.path);
  }
  text(kLink, "linkpath", entry.link);
  const auto number = [&](Field field, const char* key, uint64_t value) {
    if (PutNumber(block, field, value)) return;
    PutNumber(block, field, 0);
    records += Record(key, fmt::format("{}", value));
  };
  PutNumber(block, kMode, entry.mode & 07777);
  number(kUid, "uid", entry.uid);
  number(kGid, "gid", entry.gid);
  number(kSize, "size", data_bytes);
  if (entry.mtime_s < 0 || entry.mtime_ns != 0 ||
      !PutNumber(block, kTime, static_cast<uint64_t>(entry.mtime_s))) {
    PutNumber(block, kTime, entry.mtime_s < 0 ? 0 : static_cast<uint64_t>(entry.mtime_s));
    records += Record("mtime", TimeText(entry));
  }
  for (const auto& [name, value] : entry.xattrs) records += Record("SCHILY.xattr." + name, value);
  block[kType] = TypeOf(entry);
  PutText(block, kMagic, std::string_view("ustar\00000", 8));
  PutNumber(block, kMajor, entry.device_major);
  PutNumber(block, kMinor, entry.device_minor);
  if (!records.empty()) HULL_TRY(ExtendedHeader(records));
  PutChecksum(block);
  ++entries_;
  HULL_TRY(Emit(std::string_view(block.data(), block.size())));
  return map.empty() ? Status() : Emit(map);
}

Status TarWriter::Data(std::span<const std::byte> data) {
  in_entry_ += data.size();
  return sink_(data);
}

Status TarWriter::Finish() {
  HULL_TRY(Pad());
  return Emit(std::string(2 * kBlock, '\0'));
}

}  // namespace hull::archive
