// What a disk shows: one file that may be written, or (read-only) several files and bytes that the
// VMM made up, a partition table for example. The rest reads as zeroes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

struct DiskContent {
  static constexpr uint64_t kSectorBytes = 512;

  // `size_bytes` of a file from its beginning, seen at `offset_bytes`.
  struct File {
    uint64_t offset_bytes = 0;
    UniqueFd fd;  // open for reading, and for writing if the disk is to be written
    uint64_t size_bytes = 0;
  };
  // Made-up bytes.
  struct Filling {
    uint64_t offset_bytes = 0;
    std::vector<std::byte> data;
  };

  uint64_t size_bytes = 0;  // of the disk; a multiple of kSectorBytes
  std::vector<File> files;
  std::vector<Filling> fillings;

  // The whole of one regular file or block device. A file that does not end with a sector is shown
  // with zeroes behind it when `read_only`, and is kInvalidArgument otherwise.
  static Result<DiskContent> OfFile(UniqueFd fd, bool read_only);
};

namespace block {

// A DiskContent that has been checked: pieces in order, none overlapping, all inside.
class DiskMap {
 public:
  // What is at an offset, up to where something else begins.
  struct FilePart {
    int fd;
    uint64_t file_offset;
  };
  struct FillingPart {
    std::span<const std::byte> data;
  };
  struct Zeroes {};
  struct Part {
    std::variant<FilePart, FillingPart, Zeroes> what;
    uint64_t size_bytes;  // from the offset on; not 0
  };

  // kInvalidArgument when pieces overlap or lie outside, or a disk to be written is not one whole
  // file.
  static Result<DiskMap> Create(DiskContent content, bool read_only);

  uint64_t size_bytes() const { return content_.size_bytes; }
  uint64_t sectors() const { return size_bytes() / DiskContent::kSectorBytes; }
  // `offset` is below size_bytes().
  Part At(uint64_t offset) const;

 private:
  struct Piece {
    uint64_t offset_bytes;
    uint64_t size_bytes;
    std::variant<FilePart, FillingPart> what;
  };
  explicit DiskMap(DiskContent content) : content_(std::move(content)) {}

  DiskContent content_;
  std::vector<Piece> pieces_;  // by offset
};

}  // namespace block
}  // namespace hull
