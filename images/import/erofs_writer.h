// Writes one EROFS file: the data of regular files as it comes, then, when the tree is complete,
// all metadata behind it, and the superblock last, so that a half-written file is no file system.
//
// Every regular file's data stands in whole blocks of its own (EROFS_INODE_FLAT_PLAIN): a guest can
// map it with DAX. Blocks of zeros are left out of the host's file (holes). The same tree and data
// always give the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "images/import/layer_tree.h"
#include "vmm/base/result.h"

namespace hull::images {

class ErofsWriter {
 public:
  // `fd`: an empty file, open for writing; must outlive the writer. kExhausted when the image would
  // be larger than `cap_bytes`.
  ErofsWriter(int fd, uint64_t cap_bytes);

  // Starts the data of a regular file of `size_bytes`. What is not written in it reads as zeros.
  Status BeginFile(Inode& inode, uint64_t size_bytes);
  // `offset` may not be lower than the end of what was written before; the range lies inside the
  // file.
  Status WriteFile(uint64_t offset, std::span<const std::byte> data);

  // Where the data of the file that was begun last stands in the image.
  uint64_t file_position() const { return file_start_; }

  // Writes the metadata of `root` and all below it. The file system's UUID comes from `diff_id`.
  Status Finish(const Inode& root, std::string_view diff_id);

  // Whole size, after Finish.
  uint64_t image_bytes() const { return next_block_ * 4096; }

 private:
  Status Put(uint64_t position, std::span<const std::byte> data);
  Status Flush(bool keep_partial_block);

  int fd_;
  uint64_t cap_bytes_;
  uint64_t next_block_ = 1;  // block 0 is the superblock's
  uint64_t file_start_ = 0;  // bytes
  uint64_t file_size_ = 0;
  uint64_t file_written_ = 0;
  std::vector<std::byte> buffer_;  // gathers small files into large writes
  uint64_t buffer_start_ = 4096;   // position of buffer_[0] in the image
};

}  // namespace hull::images
