#include "images/import/testing/erofs_reader.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <vector>

#include "images/import/erofs_format.h"

namespace hull::images::testing {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view image) : image_(image) {
    super_ = At<erofs::SuperBlock>(erofs::kSuperOffset);
    EXPECT_EQ(super_.magic, erofs::kMagic);
    EXPECT_EQ(super_.feature_incompat, 0U);
    EXPECT_EQ(image.size(), uint64_t{super_.blocks} * erofs::kBlockBytes);
  }

  std::map<std::string, ErofsFile> ReadAll() {
    Walk("", super_.root_nid, super_.root_nid);
    return std::move(files_);
  }

 private:
  std::string_view Bytes(uint64_t offset, uint64_t size) {
    if (offset > image_.size() || size > image_.size() - offset) {
      ADD_FAILURE() << "outside of the image: " << offset << "+" << size;
      return {};
    }
    return image_.substr(offset, size);
  }
  template <typename T>
  T At(uint64_t offset) {
    T value = {};
    const std::string_view bytes = Bytes(offset, sizeof(T));
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }

  std::string Data(const erofs::DiskInode& inode, uint64_t behind_inode) {
    const uint64_t start = uint64_t{inode.block_or_device} * erofs::kBlockBytes;
    const bool is_inline = (inode.format & ~erofs::kExtendedInode) == erofs::kFlatInline;
    const uint64_t tail = is_inline ? inode.size % erofs::kBlockBytes : 0;
    std::string data(inode.size > tail ? Bytes(start, inode.size - tail) : std::string_view());
    EXPECT_LE(is_inline ? behind_inode % erofs::kBlockBytes + tail : 0, erofs::kBlockBytes);
    data += Bytes(behind_inode, tail);
    return data;
  }

  uint64_t ReadXattrs(uint64_t offset, uint16_t count, ErofsFile& file) {
    if (count == 0) return offset;
    static const std::map<int, std::string> kPrefixes = {{1, "user."},
                                                         {2, "system.posix_acl_access"},
                                                         {3, "system.posix_acl_default"},
                                                         {4, "trusted."},
                                                         {6, "security."}};
    const uint64_t end =
        offset + sizeof(erofs::XattrHeader) + uint64_t{count - 1U} * erofs::kXattrUnit;
    offset += sizeof(erofs::XattrHeader);
    while (offset < end) {
      const auto entry = At<erofs::XattrEntry>(offset);
      offset += sizeof(entry);
      const std::string name =
          kPrefixes.at(entry.name_index) + std::string(Bytes(offset, entry.name_length));
      file.xattrs[name] = Bytes(offset + entry.name_length, entry.value_size);
      offset += (uint64_t{entry.name_length} + entry.value_size + 3) / 4 * 4;
    }
    EXPECT_EQ(offset, end);
    return end;
  }

  void WalkDirectory(const std::string& path, uint64_t nid, uint64_t parent,
                     const std::string& data) {
    std::string previous;
    bool self = false;
    bool up = false;
    for (size_t block = 0; block < data.size(); block += erofs::kBlockBytes) {
      const std::string_view bytes = std::string_view(data).substr(block, erofs::kBlockBytes);
      erofs::DirectoryEntry first = {};
      std::memcpy(&first, bytes.data(), sizeof(first));
      const size_t count = first.name_offset / sizeof(first);
      for (size_t i = 0; i < count; ++i) {
        erofs::DirectoryEntry entry = {};
        std::memcpy(&entry, bytes.data() + i * sizeof(entry), sizeof(entry));
        erofs::DirectoryEntry next = {};
        next.name_offset = static_cast<uint16_t>(bytes.size());
        if (i + 1 < count) std::memcpy(&next, bytes.data() + (i + 1) * sizeof(next), sizeof(next));
        std::string name(bytes.substr(entry.name_offset, next.name_offset - entry.name_offset));
        name = name.substr(0, name.find('\0'));
        EXPECT_LT(previous, name) << "unsorted in " << path;
        previous = name;
        self = self || (name == "." && entry.nid == nid);
        up = up || (name == ".." && entry.nid == parent);
        if (name == "." || name == "..") continue;
        Walk(path.empty() ? name : path + "/" + name, entry.nid, nid);
      }
    }
    EXPECT_TRUE(self && up) << path;
  }

  void Walk(const std::string& path, uint64_t nid, uint64_t parent) {
    const uint64_t offset =
        uint64_t{super_.meta_block} * erofs::kBlockBytes + nid * erofs::kSlotBytes;
    const auto inode = At<erofs::DiskInode>(offset);
    ErofsFile file;
    file.nid = nid;
    file.mode = inode.mode;
    file.uid = inode.uid;
    file.gid = inode.gid;
    file.mtime_s = static_cast<int64_t>(inode.mtime_s);
    file.mtime_ns = inode.mtime_ns;
    file.links = inode.links;
    const uint64_t behind = ReadXattrs(offset + sizeof(inode), inode.xattr_count, file);
    const bool is_device = S_ISCHR(inode.mode) || S_ISBLK(inode.mode);
    if (is_device) file.device = inode.block_or_device;
    if (!is_device) file.content = Data(inode, behind);
    if (S_ISDIR(inode.mode)) {
      WalkDirectory(path, nid, parent, file.content);
      file.content.clear();
    }
    files_[path] = std::move(file);
  }

  std::string_view image_;
  erofs::SuperBlock super_;
  std::map<std::string, ErofsFile> files_;
};

}  // namespace

std::map<std::string, ErofsFile> ReadErofs(std::string_view image) {
  return Reader(image).ReadAll();
}

}  // namespace hull::images::testing
