// Files of the layers below, as hull hands them to hull-import when a layer's tar has hard links to
// them (images/store/lower_links.h): one record after the other, each
//   4 bytes path length, 4 bytes head length, 8 bytes data length (little-endian),
//   the path, the head (an EROFS inode with its extended attributes as they stand in the layer
//   below), the data (of a symbolic link: its target).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "images/import/layer_tree.h"
#include "vmm/base/result.h"

namespace hull::images {

struct BelowRecordHead {
  uint32_t path_bytes;
  uint32_t head_bytes;
  uint64_t data_bytes;
};
static_assert(sizeof(BelowRecordHead) == 16);

struct BelowFile {
  std::string path;
  Metadata metadata;
  uint32_t device = 0;
  uint64_t data_bytes = 0;  // of a regular file: to be read
  std::string target;
};

class BelowReader {
 public:
  // `fd` stays the caller's.
  explicit BelowReader(int fd) : fd_(fd) {}

  // The next file, or nullopt at the end. kCorrupt. The data of a regular file has to be read
  // before the next.
  Result<std::optional<BelowFile>> Next();
  // The data in pieces, with each one's offset.
  Status ReadData(const BelowFile& file,
                  const std::function<Status(uint64_t, std::span<const std::byte>)>& take);

 private:
  // False: the end, before the first byte.
  Result<bool> Read(std::span<std::byte> out);

  int fd_;
};

}  // namespace hull::images
