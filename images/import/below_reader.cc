#include "images/import/below_reader.h"

#include <linux/limits.h>
#include <linux/xattr.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "images/import/erofs_format.h"

namespace hull::images {
namespace {

constexpr size_t kPieceBytes = size_t{256} << 10;
// 65,535 units of attributes.
constexpr size_t kMaxHeadBytes = size_t{512} << 10;

tl::unexpected<Error> Damaged() {
  return Fail(ErrorCode::kCorrupt, "the files of the layers below are damaged");
}

// EROFS_XATTR_INDEX_*
std::string_view PrefixOf(uint8_t index) {
  switch (index) {
    case 1:
      return XATTR_USER_PREFIX;
    case 2:
      return XATTR_NAME_POSIX_ACL_ACCESS;
    case 3:
      return XATTR_NAME_POSIX_ACL_DEFAULT;
    case 4:
      return XATTR_TRUSTED_PREFIX;
    case 6:
      return XATTR_SECURITY_PREFIX;
    default:
      return {};
  }
}

bool ReadXattrs(std::string_view bytes, std::vector<Xattr>& xattrs) {
  if (bytes.empty()) return true;
  if (bytes.size() < sizeof(erofs::XattrHeader)) return false;
  bytes.remove_prefix(sizeof(erofs::XattrHeader));
  while (!bytes.empty()) {
    erofs::XattrEntry entry = {};
    if (bytes.size() < sizeof entry) return false;
    std::memcpy(&entry, bytes.data(), sizeof entry);
    bytes.remove_prefix(sizeof entry);
    const size_t used = size_t{entry.name_length} + entry.value_size;
    const size_t padded = (used + erofs::kXattrUnit - 1) / erofs::kXattrUnit * erofs::kXattrUnit;
    if (padded > bytes.size()) return false;
    xattrs.push_back(
        {std::string(PrefixOf(entry.name_index)) + std::string(bytes.substr(0, entry.name_length)),
         std::string(bytes.substr(entry.name_length, entry.value_size))});
    bytes.remove_prefix(padded);
  }
  return true;
}

}  // namespace

Result<bool> BelowReader::Read(std::span<std::byte> out) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t count = ::read(fd_, out.data() + done, out.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno("read the files of the layers below");
    if (count == 0 && done == 0) return false;
    if (count == 0) return Damaged();
    done += static_cast<size_t>(count);
  }
  return true;
}

Result<std::optional<BelowFile>> BelowReader::Next() {
  BelowRecordHead record{};
  HULL_ASSIGN(const bool more, Read(std::as_writable_bytes(std::span(&record, 1))));
  if (!more) return std::optional<BelowFile>();
  if (record.path_bytes == 0 || record.path_bytes >= PATH_MAX ||
      record.head_bytes < sizeof(erofs::DiskInode) || record.head_bytes > kMaxHeadBytes) {
    return Damaged();
  }
  BelowFile file;
  file.path.resize(record.path_bytes);
  std::string head(record.head_bytes, '\0');
  for (std::string* text : {&file.path, &head}) {
    HULL_ASSIGN(const bool there, Read(std::as_writable_bytes(std::span(*text))));
    if (!there) return Damaged();
  }
  erofs::DiskInode inode = {};
  std::memcpy(&inode, head.data(), sizeof inode);
  file.metadata.mode = inode.mode;
  file.metadata.uid = inode.uid;
  file.metadata.gid = inode.gid;
  file.metadata.mtime_s = static_cast<int64_t>(inode.mtime_s);
  file.metadata.mtime_ns = inode.mtime_ns;
  if (!ReadXattrs(std::string_view(head).substr(sizeof inode), file.metadata.xattrs)) {
    return Damaged();
  }
  file.data_bytes = record.data_bytes;
  if (S_ISCHR(inode.mode) || S_ISBLK(inode.mode)) file.device = inode.block_or_device;
  if (S_ISLNK(inode.mode)) {
    if (record.data_bytes == 0 || record.data_bytes >= PATH_MAX) return Damaged();
    file.target.resize(record.data_bytes);
    HULL_ASSIGN(const bool there, Read(std::as_writable_bytes(std::span(file.target))));
    if (!there) return Damaged();
  } else if (!S_ISREG(inode.mode) && record.data_bytes != 0) {
    return Damaged();
  }
  return std::optional(std::move(file));
}

Status BelowReader::ReadData(
    const BelowFile& file,
    const std::function<Status(uint64_t, std::span<const std::byte>)>& take) {
  std::vector<std::byte> piece(kPieceBytes);
  for (uint64_t done = 0; done < file.data_bytes;) {
    const size_t size = std::min<uint64_t>(piece.size(), file.data_bytes - done);
    HULL_ASSIGN(const bool there, Read(std::span(piece).first(size)));
    if (!there) return Damaged();
    HULL_TRY(take(done, std::span<const std::byte>(piece).first(size)));
    done += size;
  }
  return {};
}

}  // namespace hull::images
