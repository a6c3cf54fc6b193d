#include "images/store/erofs_lookup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "images/import/erofs_format.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

// A directory of a million long names has some 270 MB.
constexpr uint64_t kDirectoryBytes = uint64_t{512} << 20;
constexpr uint64_t kPieceBytes = uint64_t{256} << 10;
constexpr uint8_t kTrustedIndex = 4;  // EROFS_XATTR_INDEX_TRUSTED
constexpr std::string_view kOpaque = "overlay.opaque";

template <typename T>
T Load(std::string_view bytes) {
  T value = {};
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

// The entry's number in one block of a directory.
std::optional<uint64_t> FindInBlock(std::string_view block, std::string_view name) {
  if (block.size() < sizeof(erofs::DirectoryEntry)) return std::nullopt;
  const uint64_t names = Load<erofs::DirectoryEntry>(block).name_offset;
  if (names > block.size()) return std::nullopt;
  const uint64_t count = names / sizeof(erofs::DirectoryEntry);
  for (uint64_t i = 0; i < count; ++i) {
    const auto entry = Load<erofs::DirectoryEntry>(block.substr(i * sizeof(erofs::DirectoryEntry)));
    uint64_t end = block.size();
    if (i + 1 < count) {
      end = Load<erofs::DirectoryEntry>(block.substr((i + 1) * sizeof(erofs::DirectoryEntry)))
                .name_offset;
    }
    if (entry.name_offset > end || end > block.size()) return std::nullopt;
    const std::string_view text = block.substr(entry.name_offset, end - entry.name_offset);
    if (text.substr(0, text.find('\0')) == name) return entry.nid;
  }
  return std::nullopt;
}

std::optional<uint64_t> FindInDirectory(std::string_view content, std::string_view name) {
  for (uint64_t start = 0; start < content.size(); start += erofs::kBlockBytes) {
    if (const auto nid = FindInBlock(content.substr(start, erofs::kBlockBytes), name)) return nid;
  }
  return std::nullopt;
}

bool HasOpaque(std::string_view xattrs) {
  while (xattrs.size() >= sizeof(erofs::XattrEntry)) {
    const auto entry = Load<erofs::XattrEntry>(xattrs);
    xattrs.remove_prefix(sizeof(entry));
    const uint64_t bytes = uint64_t{entry.name_length} + entry.value_size;
    const uint64_t padded = (bytes + erofs::kXattrUnit - 1) / erofs::kXattrUnit * erofs::kXattrUnit;
    if (padded > xattrs.size()) return false;
    if (entry.name_index == kTrustedIndex && xattrs.substr(0, entry.name_length) == kOpaque)
      return true;
    xattrs.remove_prefix(padded);
  }
  return false;
}

}  // namespace

struct LayerFile::Node {
  erofs::DiskInode inode = {};
  uint64_t offset = 0;
  uint64_t XattrBytes() const {
    if (inode.xattr_count == 0) return 0;
    return sizeof(erofs::XattrHeader) + uint64_t{inode.xattr_count - 1U} * erofs::kXattrUnit;
  }
};

Status LayerFile::ReadAt(uint64_t offset, char* out, uint64_t bytes) const {
  if (offset > size_bytes_ || bytes > size_bytes_ - offset) {
    return Fail(ErrorCode::kCorrupt, "layer {} is damaged", path_);
  }
  while (bytes > 0) {
    const ssize_t count = ::pread(fd_.get(), out, bytes, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno("read {}", path_);
    if (count == 0) return Fail(ErrorCode::kCorrupt, "layer {} ends early", path_);
    out += count;
    offset += static_cast<uint64_t>(count);
    bytes -= static_cast<uint64_t>(count);
  }
  return {};
}

Result<LayerFile> LayerFile::Open(const std::string& path) {
  HULL_ASSIGN(UniqueFd fd, OpenFile(path, O_RDONLY));
  HULL_ASSIGN(const uint64_t size, FileSizeBytes(fd.get(), path));
  LayerFile layer(std::move(fd), path, size);
  std::string bytes(sizeof(erofs::SuperBlock), '\0');
  HULL_TRY(layer.ReadAt(erofs::kSuperOffset, bytes.data(), bytes.size()));
  const auto super = Load<erofs::SuperBlock>(bytes);
  if (super.magic != erofs::kMagic) return Fail(ErrorCode::kCorrupt, "layer {} is no EROFS", path);
  layer.meta_offset_ = uint64_t{super.meta_block} * erofs::kBlockBytes;
  layer.root_nid_ = super.root_nid;
  return layer;
}

Result<LayerFile::Node> LayerFile::ReadNode(uint64_t nid) const {
  if (nid > size_bytes_ / erofs::kSlotBytes)
    return Fail(ErrorCode::kCorrupt, "layer {} is damaged", path_);
  return ReadNodeAt(meta_offset_ + nid * erofs::kSlotBytes);
}

Result<LayerFile::Node> LayerFile::ReadNodeAt(uint64_t offset) const {
  Node node;
  node.offset = offset;
  std::string bytes(sizeof(erofs::DiskInode), '\0');
  HULL_TRY(ReadAt(node.offset, bytes.data(), bytes.size()));
  node.inode = Load<erofs::DiskInode>(bytes);
  return node;
}

Result<bool> LayerFile::IsOpaque(const Node& node) const {
  if (node.inode.xattr_count == 0) return false;
  std::string bytes(node.XattrBytes() - sizeof(erofs::XattrHeader), '\0');
  HULL_TRY(ReadAt(node.offset + sizeof(erofs::DiskInode) + sizeof(erofs::XattrHeader), bytes.data(),
                  bytes.size()));
  return HasOpaque(bytes);
}

Result<std::string> LayerFile::ReadDirectory(const Node& node) const {
  const uint64_t size = node.inode.size;
  if (size > size_bytes_ || size > kDirectoryBytes)
    return Fail(ErrorCode::kCorrupt, "layer {} is damaged", path_);
  const bool is_inline = (node.inode.format & ~erofs::kExtendedInode) == erofs::kFlatInline;
  const uint64_t tail = is_inline ? size % erofs::kBlockBytes : 0;
  std::string content(size, '\0');
  HULL_TRY(ReadAt(uint64_t{node.inode.block_or_device} * erofs::kBlockBytes, content.data(),
                  size - tail));
  HULL_TRY(ReadAt(node.offset + sizeof(erofs::DiskInode) + node.XattrBytes(),
                  content.data() + size - tail, tail));
  return content;
}

Result<DirectoryFound> LayerFile::FindDirectory(std::string_view path) const {
  DirectoryFound found;
  HULL_ASSIGN(Node node, ReadNode(root_nid_));
  for (;;) {
    HULL_ASSIGN(const bool opaque, IsOpaque(node));
    found.opaque_on_way = found.opaque_above;
    found.opaque_above = found.opaque_above || opaque;
    if (path.empty()) break;
    found.opaque_on_way = found.opaque_above;
    const size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    HULL_ASSIGN(const std::string content, ReadDirectory(node));
    const std::optional<uint64_t> nid = FindInDirectory(content, name);
    if (!nid) return found;
    HULL_ASSIGN(node, ReadNode(*nid));
    if (!S_ISDIR(node.inode.mode)) {
      found.kind = DirectoryFound::Kind::kHidden;
      return found;
    }
  }
  found.kind = DirectoryFound::Kind::kDirectory;
  found.mode = node.inode.mode;
  found.uid = node.inode.uid;
  found.gid = node.inode.gid;
  found.mtime_s = node.inode.mtime_s;
  found.mtime_ns = node.inode.mtime_ns;
  found.inode_offset = node.offset;
  return found;
}

Result<FileFound> LayerFile::FindFile(std::string_view path) const {
  FileFound found;
  HULL_ASSIGN(Node node, ReadNode(root_nid_));
  for (;;) {
    HULL_ASSIGN(const bool opaque, IsOpaque(node));
    found.opaque_above = found.opaque_above || opaque;
    const size_t slash = path.find('/');
    HULL_ASSIGN(const std::string content, ReadDirectory(node));
    const std::optional<uint64_t> nid = FindInDirectory(content, path.substr(0, slash));
    if (!nid) return found;
    HULL_ASSIGN(node, ReadNode(*nid));
    const bool last = slash == std::string_view::npos;
    if (last || !S_ISDIR(node.inode.mode)) {
      const bool whiteout = S_ISCHR(node.inode.mode) && node.inode.block_or_device == 0;
      const bool file = last && !whiteout && !S_ISDIR(node.inode.mode);
      found.kind = file ? FileFound::Kind::kFile : FileFound::Kind::kHidden;
      found.inode_offset = node.offset;
      return found;
    }
    path.remove_prefix(slash + 1);
  }
}

Result<FileContent> LayerFile::Describe(uint64_t inode_offset) const {
  HULL_ASSIGN(const Node node, ReadNodeAt(inode_offset));
  FileContent content;
  content.is_symbolic_link = S_ISLNK(node.inode.mode);
  content.head.resize(sizeof(erofs::DiskInode) + node.XattrBytes());
  HULL_TRY(ReadAt(inode_offset, content.head.data(), content.head.size()));
  if (!S_ISREG(node.inode.mode) && !S_ISLNK(node.inode.mode)) return content;
  content.data_bytes = node.inode.size;
  content.data_offset = uint64_t{node.inode.block_or_device} * erofs::kBlockBytes;
  const bool is_inline = (node.inode.format & ~erofs::kExtendedInode) == erofs::kFlatInline;
  if (is_inline) content.tail.resize(content.data_bytes % erofs::kBlockBytes);
  HULL_TRY(ReadAt(inode_offset + content.head.size(), content.tail.data(), content.tail.size()));
  return content;
}

Status LayerFile::ReadData(const FileContent& content,
                           const std::function<Status(std::string_view)>& take) const {
  const uint64_t whole = content.data_bytes - content.tail.size();
  std::string piece;
  for (uint64_t done = 0; done < whole; done += piece.size()) {
    piece.resize(std::min<uint64_t>(kPieceBytes, whole - done));
    HULL_TRY(ReadAt(content.data_offset + done, piece.data(), piece.size()));
    HULL_TRY(take(piece));
  }
  return take(content.tail);
}

}  // namespace hull::images
