#include "images/import/erofs_layout.h"

#include <linux/xattr.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>
#include <utility>

#include "images/import/erofs_format.h"
#include "vmm/base/check.h"

namespace hull::images {
namespace {

using erofs::kBlockBytes;

// A tail larger than this gets a block of its own: moving it to where it fits would waste as much.
constexpr uint64_t kInlineTailBytes = kBlockBytes / 2;

struct NamePrefix {
  std::string_view text;
  uint8_t index;
};
// EROFS_XATTR_INDEX_*. The two ACL names are stored by index alone.
constexpr NamePrefix kPrefixes[] = {
    {XATTR_NAME_POSIX_ACL_ACCESS, 2}, {XATTR_NAME_POSIX_ACL_DEFAULT, 3}, {XATTR_USER_PREFIX, 1},
    {XATTR_TRUSTED_PREFIX, 4},        {XATTR_SECURITY_PREFIX, 6},
};

const NamePrefix& PrefixOf(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kPrefixes), std::end(kPrefixes),
                   [&](const auto& prefix) { return name.starts_with(prefix.text); });
  HULL_CHECK(found != std::end(kPrefixes));  // LayerTree keeps no other names
  return *found;
}

uint64_t AlignUp(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

uint32_t XattrBytes(const Inode& inode) {
  if (inode.metadata.xattrs.empty()) return 0;
  uint64_t bytes = sizeof(erofs::XattrHeader);
  for (const Xattr& xattr : inode.metadata.xattrs) {
    const size_t suffix = xattr.name.size() - PrefixOf(xattr.name).text.size();
    bytes += AlignUp(sizeof(erofs::XattrEntry) + suffix + xattr.value.size(), erofs::kXattrUnit);
  }
  // LayerTree caps names and values at 64 KiB together; the count field holds four times that.
  HULL_CHECK((bytes - sizeof(erofs::XattrHeader)) / erofs::kXattrUnit <
             std::numeric_limits<uint16_t>::max());
  return static_cast<uint32_t>(bytes);
}

// The generic file types of directory entries (linux/fs_types.h: FT_*).
uint8_t FileType(const Inode& inode) {
  switch (inode.metadata.mode & S_IFMT) {
    case S_IFREG:
      return 1;
    case S_IFDIR:
      return 2;
    case S_IFCHR:
      return 3;
    case S_IFBLK:
      return 4;
    case S_IFIFO:
      return 5;
    case S_IFSOCK:
      return 6;
    case S_IFLNK:
      return 7;
    default:
      return 0;
  }
}

struct Entry {
  std::string_view name;
  const Inode* inode;
};

// All entries with "." and "..", sorted by bytes: the kernel searches by halving.
std::vector<Entry> EntriesOf(const Inode& directory, const Inode* parent) {
  std::vector<Entry> entries;
  entries.reserve(directory.children.size() + 2);
  entries.push_back({".", &directory});
  entries.push_back({"..", parent});
  for (const auto& [name, child] : directory.children) entries.push_back({name, child});
  std::inplace_merge(entries.begin(), entries.begin() + 2, entries.end(),
                     [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return entries;
}

// Entries fill a block until the next one does not fit; each call takes one block's worth.
// Returns the index behind the last entry that fits, and the bytes they take.
std::pair<size_t, uint64_t> FillBlock(const std::vector<Entry>& entries, size_t first) {
  uint64_t used = 0;
  size_t index = first;
  while (index < entries.size()) {
    const uint64_t bytes = sizeof(erofs::DirectoryEntry) + entries[index].name.size();
    if (used + bytes > kBlockBytes) break;
    used += bytes;
    ++index;
  }
  return {index, used};
}

uint64_t DirectoryBytes(const std::vector<Entry>& entries) {
  uint64_t bytes = 0;
  for (size_t first = 0; first < entries.size();) {
    const auto [next, used] = FillBlock(entries, first);
    bytes += next == entries.size() ? used : kBlockBytes;
    first = next;
  }
  return bytes;
}

void EncodeDirectoryBlock(std::span<const Entry> entries, std::span<const uint64_t> nids,
                          std::byte* block) {
  size_t name_offset = entries.size() * sizeof(erofs::DirectoryEntry);
  for (size_t i = 0; i < entries.size(); ++i) {
    erofs::DirectoryEntry entry = {};
    entry.nid = nids[i];
    entry.name_offset = static_cast<uint16_t>(name_offset);
    entry.file_type = FileType(*entries[i].inode);
    std::memcpy(block + i * sizeof(entry), &entry, sizeof(entry));
    std::memcpy(block + name_offset, entries[i].name.data(), entries[i].name.size());
    name_offset += entries[i].name.size();
  }
}

}  // namespace

uint64_t ErofsLayout::root_nid() const {
  return spots_.at(order_.front()).nid;
}

// Depth first, a directory's entries together: what is looked up together is read together.
void ErofsLayout::Collect(const Inode& root) {
  std::vector<const Inode*> pending = {&root};
  spots_[&root].parent = &root;
  while (!pending.empty()) {
    const Inode* directory = pending.back();
    pending.pop_back();
    if (directory == &root) order_.push_back(directory);
    uint32_t subdirectories = 0;
    const size_t first = pending.size();
    for (const auto& [name, child] : directory->children) {
      const auto [spot, is_new] = spots_.try_emplace(child);
      if (is_new) order_.push_back(child);
      if (!IsDirectory(*child)) {
        ++spot->second.links;
        continue;
      }
      ++subdirectories;
      spot->second.parent = directory;
      pending.push_back(child);
    }
    std::reverse(pending.begin() + static_cast<ptrdiff_t>(first), pending.end());
    spots_[directory].links = 2 + subdirectories;
  }
}

void ErofsLayout::PlaceInode(const Inode& inode, Spot& spot) {
  spot.xattr_bytes = XattrBytes(inode);
  if (IsDirectory(inode)) spot.data_bytes = DirectoryBytes(EntriesOf(inode, spot.parent));
  if (S_ISLNK(inode.metadata.mode)) spot.data_bytes = inode.target.size();
  const uint64_t head = sizeof(erofs::DiskInode) + spot.xattr_bytes;
  const uint64_t tail = spot.data_bytes % kBlockBytes;
  uint64_t position = AlignUp(area_bytes_, erofs::kSlotBytes);
  if (position % kBlockBytes + sizeof(erofs::DiskInode) > kBlockBytes) {
    position = AlignUp(position, kBlockBytes);
  }
  // The tail may not cross a block (fs/erofs/data.c and inode.c refuse such an image).
  if (tail > 0 && tail <= kInlineTailBytes) {
    if ((position + head) % kBlockBytes + tail > kBlockBytes) {
      const uint64_t moved = AlignUp(position, kBlockBytes);
      if ((moved + head) % kBlockBytes + tail <= kBlockBytes) position = moved;
    }
    spot.is_inline = (position + head) % kBlockBytes + tail <= kBlockBytes;
  }
  spot.nid = position / erofs::kSlotBytes;
  area_bytes_ = position + head + (spot.is_inline ? tail : 0);
  spot.extra_block = extra_blocks_;
  extra_blocks_ += spot.data_bytes / kBlockBytes + (tail > 0 && !spot.is_inline ? 1 : 0);
}

Result<ErofsLayout> ErofsLayout::Place(const Inode& root, uint64_t meta_block) {
  ErofsLayout layout(meta_block);
  layout.Collect(root);
  // Number 0 is no inode to readdir(3): the first slot stays empty.
  layout.area_bytes_ = sizeof(erofs::DiskInode);
  uint32_t number = 0;
  for (const Inode* inode : layout.order_) {
    Spot& spot = layout.spots_[inode];
    spot.number = ++number;
    layout.PlaceInode(*inode, spot);
  }
  layout.area_bytes_ = AlignUp(layout.area_bytes_, kBlockBytes);
  const uint64_t end = meta_block + layout.size_bytes() / kBlockBytes;
  if (end > std::numeric_limits<uint32_t>::max()) {
    return Fail(ErrorCode::kExhausted, "the layer is too large for EROFS: {} blocks", end);
  }
  return layout;
}

void ErofsLayout::EncodeXattrs(const Inode& inode, std::byte* out) const {
  const erofs::XattrHeader header = {};
  std::memcpy(out, &header, sizeof(header));
  out += sizeof(header);
  for (const Xattr& xattr : inode.metadata.xattrs) {
    const NamePrefix& prefix = PrefixOf(xattr.name);
    const std::string_view suffix = std::string_view(xattr.name).substr(prefix.text.size());
    erofs::XattrEntry entry = {};
    entry.name_length = static_cast<uint8_t>(suffix.size());
    entry.name_index = prefix.index;
    entry.value_size = static_cast<uint16_t>(xattr.value.size());
    std::memcpy(out, &entry, sizeof(entry));
    std::memcpy(out + sizeof(entry), suffix.data(), suffix.size());
    std::memcpy(out + sizeof(entry) + suffix.size(), xattr.value.data(), xattr.value.size());
    out += AlignUp(sizeof(entry) + suffix.size() + xattr.value.size(), erofs::kXattrUnit);
  }
}

std::vector<std::byte> ErofsLayout::EncodeDirectory(const Inode& directory,
                                                    const Spot& spot) const {
  const std::vector<Entry> entries = EntriesOf(directory, spot.parent);
  std::vector<uint64_t> nids;
  nids.reserve(entries.size());
  for (const Entry& entry : entries) nids.push_back(spots_.at(entry.inode).nid);
  std::vector<std::byte> content(AlignUp(spot.data_bytes, kBlockBytes));
  std::byte* block = content.data();
  for (size_t first = 0; first < entries.size(); block += kBlockBytes) {
    const size_t next = FillBlock(entries, first).first;
    EncodeDirectoryBlock(std::span(entries).subspan(first, next - first),
                         std::span(nids).subspan(first, next - first), block);
    first = next;
  }
  content.resize(spot.data_bytes);
  return content;
}

void ErofsLayout::EncodeInode(const Inode& inode, const Spot& spot,
                              std::vector<std::byte>& image) const {
  const uint32_t mode = inode.metadata.mode;
  erofs::DiskInode disk = {};
  disk.format = static_cast<uint16_t>(erofs::kExtendedInode |
                                      (spot.is_inline ? erofs::kFlatInline : erofs::kFlatPlain));
  if (spot.xattr_bytes > 0) {
    disk.xattr_count = static_cast<uint16_t>(1 + (spot.xattr_bytes - sizeof(erofs::XattrHeader)) /
                                                     erofs::kXattrUnit);
  }
  disk.mode = static_cast<uint16_t>(mode);
  disk.size = S_ISREG(mode) ? inode.size_bytes : spot.data_bytes;
  disk.number = spot.number;
  disk.uid = inode.metadata.uid;
  disk.gid = inode.metadata.gid;
  disk.mtime_s = static_cast<uint64_t>(inode.metadata.mtime_s);
  disk.mtime_ns = inode.metadata.mtime_ns;
  disk.links = spot.links;
  const uint64_t blocks_at = meta_block_ + area_bytes_ / kBlockBytes + spot.extra_block;
  if (S_ISREG(mode)) {
    disk.block_or_device = inode.first_block;
  } else if (S_ISCHR(mode) || S_ISBLK(mode)) {
    disk.block_or_device = inode.device;
  } else if (spot.data_bytes > 0) {
    disk.block_or_device = static_cast<uint32_t>(blocks_at);
  }
  std::byte* out = image.data() + spot.nid * erofs::kSlotBytes;
  std::memcpy(out, &disk, sizeof(disk));
  if (spot.xattr_bytes > 0) EncodeXattrs(inode, out + sizeof(disk));
  if (spot.data_bytes == 0) return;

  std::vector<std::byte> content;
  if (IsDirectory(inode)) {
    content = EncodeDirectory(inode, spot);
  } else {
    content.resize(inode.target.size());
    std::memcpy(content.data(), inode.target.data(), inode.target.size());
  }
  const size_t in_blocks =
      spot.is_inline ? content.size() / kBlockBytes * kBlockBytes : content.size();
  std::memcpy(image.data() + area_bytes_ + spot.extra_block * kBlockBytes, content.data(),
              in_blocks);
  std::memcpy(out + sizeof(disk) + spot.xattr_bytes, content.data() + in_blocks,
              content.size() - in_blocks);
}

std::vector<std::byte> ErofsLayout::Encode() const {
  std::vector<std::byte> image(size_bytes());
  for (const Inode* inode : order_) EncodeInode(*inode, spots_.at(inode), image);
  return image;
}

}  // namespace hull::images
