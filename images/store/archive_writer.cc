#include "images/store/archive_writer.h"

#include <array>
#include <cstddef>
#include <cstring>

#include "vmm/base/check.h"

namespace hull::images {
namespace {

constexpr size_t kBlock = 512;

// POSIX ustar (pax(1), "ustar Interchange Format").
struct UstarHeader {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link_name[100];
  char magic[6];
  char version[2];
  char user[32];
  char group[32];
  char device_major[8];
  char device_minor[8];
  char prefix[155];
  char padding[12];
};
static_assert(sizeof(UstarHeader) == kBlock);
static_assert(offsetof(UstarHeader, checksum) == 148);

template <size_t N>
void PutOctal(uint64_t value, char (&field)[N]) {
  for (size_t i = N - 1; i-- > 0; value >>= 3) field[i] = static_cast<char>('0' + (value & 7));
}

// Eleven octal digits hold 8 GiB; what is larger stands in binary, with the first bit set, as GNU's
// and every other tar of today reads it.
void PutSize(uint64_t value, char (&field)[12]) {
  constexpr uint64_t kOctalCap = uint64_t{1} << 33;
  if (value < kOctalCap) return PutOctal(value, field);
  field[0] = '\x80';
  for (size_t i = 11; i > 3; --i, value >>= 8) field[i] = static_cast<char>(value & 0xff);
}

}  // namespace

Status ArchiveWriter::WriteHeader(std::string_view name, char type, uint64_t size_bytes) {
  HULL_CHECK(name.size() <= sizeof(UstarHeader::name));
  UstarHeader header = {};
  std::memcpy(header.name, name.data(), name.size());
  constexpr uint64_t kFileMode = 0644;
  constexpr uint64_t kDirectoryMode = 0755;
  PutOctal(type == '5' ? kDirectoryMode : kFileMode, header.mode);
  PutOctal(0, header.uid);
  PutOctal(0, header.gid);
  PutSize(size_bytes, header.size);
  PutOctal(0, header.mtime);
  header.type = type;
  std::memcpy(header.magic, "ustar", 6);
  std::memcpy(header.version, "00", 2);
  std::memset(header.checksum, ' ', sizeof(header.checksum));
  std::array<char, kBlock> bytes;
  std::memcpy(bytes.data(), &header, sizeof(header));
  uint64_t sum = 0;
  for (const char byte : bytes) sum += static_cast<unsigned char>(byte);
  char digits[7] = {};
  PutOctal(sum, digits);
  std::memcpy(bytes.data() + offsetof(UstarHeader, checksum), digits, sizeof(digits));
  return sink_({bytes.data(), bytes.size()});
}

Status ArchiveWriter::AddDirectory(std::string_view name) {
  return WriteHeader(name, '5', 0);
}

Status ArchiveWriter::AddFile(std::string_view name, std::string_view content) {
  HULL_TRY(BeginFile(name, content.size()));
  HULL_TRY(Write(content));
  return EndFile();
}

Status ArchiveWriter::BeginFile(std::string_view name, uint64_t size_bytes) {
  file_bytes_ = size_bytes;
  return WriteHeader(name, '0', size_bytes);
}

Status ArchiveWriter::Write(std::string_view data) {
  return data.empty() ? Status() : sink_(data);
}

Status ArchiveWriter::EndFile() {
  const std::array<char, kBlock> zeros = {};
  const size_t padding = static_cast<size_t>((kBlock - file_bytes_ % kBlock) % kBlock);
  return Write({zeros.data(), padding});
}

Status ArchiveWriter::Finish() {
  const std::array<char, 2 * kBlock> zeros = {};
  return sink_({zeros.data(), zeros.size()});
}

}  // namespace hull::images
