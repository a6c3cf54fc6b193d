#include "vmm/virtio/block/disk_content.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "vmm/base/check.h"
#include "vmm/base/checked.h"

namespace hull {
namespace {

Result<uint64_t> SizeOf(int fd) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return FailErrno("look at a disk's file");
  if (S_ISREG(status.st_mode)) return static_cast<uint64_t>(status.st_size);
  if (!S_ISBLK(status.st_mode))
    return Fail(ErrorCode::kInvalidArgument, "neither a regular file nor a block device");
  uint64_t size_bytes = 0;
  if (ioctl(fd, BLKGETSIZE64, &size_bytes) != 0)
    return FailErrno("ask a block device for its size");
  return size_bytes;
}

}  // namespace

Result<DiskContent> DiskContent::OfFile(UniqueFd fd, bool read_only) {
  HULL_ASSIGN(const uint64_t file_bytes, SizeOf(fd.get()));
  const std::optional<uint64_t> disk_bytes = CheckedAlignUp(file_bytes, kSectorBytes);
  if (!disk_bytes || *disk_bytes == 0)
    return Fail(ErrorCode::kInvalidArgument, "a disk of {} bytes is of no use", file_bytes);
  if (!read_only && *disk_bytes != file_bytes)
    return Fail(MakeError(ErrorCode::kInvalidArgument,
                          "its {} bytes are not a whole number of {}-byte sectors", file_bytes,
                          kSectorBytes)
                    .WithHint("truncate or extend the file, or use it read-only"));
  DiskContent content;
  content.size_bytes = *disk_bytes;
  content.files.push_back({.offset_bytes = 0, .fd = std::move(fd), .size_bytes = file_bytes});
  return content;
}

namespace block {

Result<DiskMap> DiskMap::Create(DiskContent content, bool read_only) {
  if (content.size_bytes == 0 || content.size_bytes % DiskContent::kSectorBytes != 0)
    return Fail(ErrorCode::kInvalidArgument, "a disk of {} bytes", content.size_bytes);
  if (!read_only) {
    const bool one_file = content.files.size() == 1 && content.fillings.empty() &&
                          content.files[0].offset_bytes == 0 &&
                          content.files[0].size_bytes == content.size_bytes;
    if (!one_file)
      return Fail(ErrorCode::kInvalidArgument, "a disk made of several parts can only be read");
  }
  DiskMap map(std::move(content));
  for (const DiskContent::File& file : map.content_.files) {
    if (file.size_bytes == 0) continue;
    map.pieces_.push_back({file.offset_bytes, file.size_bytes, FilePart{file.fd.get(), 0}});
  }
  for (const DiskContent::Filling& filling : map.content_.fillings) {
    if (filling.data.empty()) continue;
    map.pieces_.push_back({filling.offset_bytes, filling.data.size(), FillingPart{filling.data}});
  }
  std::sort(map.pieces_.begin(), map.pieces_.end(),
            [](const Piece& a, const Piece& b) { return a.offset_bytes < b.offset_bytes; });
  uint64_t free_from = 0;
  for (const Piece& piece : map.pieces_) {
    const std::optional<uint64_t> end = CheckedAdd(piece.offset_bytes, piece.size_bytes);
    if (piece.offset_bytes < free_from || !end || *end > map.size_bytes())
      return Fail(ErrorCode::kInvalidArgument, "a disk's part of {} bytes at {} does not fit",
                  piece.size_bytes, piece.offset_bytes);
    free_from = *end;
  }
  return map;
}

DiskMap::Part DiskMap::At(uint64_t offset) const {
  HULL_CHECK(offset < size_bytes());
  // The first piece that ends behind the offset.
  const auto next = std::find_if(pieces_.begin(), pieces_.end(), [offset](const Piece& piece) {
    return offset - std::min(offset, piece.offset_bytes) < piece.size_bytes;
  });
  if (next == pieces_.end()) return {Zeroes{}, size_bytes() - offset};
  if (offset < next->offset_bytes) return {Zeroes{}, next->offset_bytes - offset};
  const uint64_t inside = offset - next->offset_bytes;
  const uint64_t size = next->size_bytes - inside;
  if (const auto* file = std::get_if<FilePart>(&next->what))
    return {FilePart{file->fd, file->file_offset + inside}, size};
  return {FillingPart{std::get<FillingPart>(next->what).data.subspan(inside)}, size};
}

}  // namespace block
}  // namespace hull
