#include "images/import/erofs_writer.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "images/digest/digest.h"
#include "images/import/erofs_format.h"
#include "images/import/erofs_layout.h"
#include "vmm/base/check.h"

namespace hull::images {
namespace {

using erofs::kBlockBytes;

constexpr size_t kBufferBytes = size_t{1} << 20;

bool IsZero(std::span<const std::byte> data) {
  return data.empty() || (data[0] == std::byte{0} &&
                          std::memcmp(data.data(), data.data() + 1, data.size() - 1) == 0);
}

Status WriteAt(int fd, std::span<const std::byte> data, uint64_t position) {
  while (!data.empty()) {
    const ssize_t count = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(position));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno("write the layer");
    data = data.subspan(static_cast<size_t>(count));
    position += static_cast<uint64_t>(count);
  }
  return {};
}

// Writes whole blocks, leaving out those of zeros.
Status WriteBlocks(int fd, std::span<const std::byte> data, uint64_t position) {
  size_t start = 0;  // of the run of blocks to write
  for (size_t at = 0; at < data.size(); at += kBlockBytes) {
    const auto block = data.subspan(at, std::min<size_t>(kBlockBytes, data.size() - at));
    if (!IsZero(block)) continue;
    HULL_TRY(WriteAt(fd, data.subspan(start, at - start), position + start));
    start = at + block.size();
  }
  return WriteAt(fd, data.subspan(start), position + start);
}

// CRC-32C without the final inversion, as the kernel's crc32c(~0, ...) gives it.
uint32_t Crc32c(std::span<const std::byte> data) {
  constexpr uint32_t kReflectedPolynomial = 0x82f63b78;
  uint32_t crc = ~0U;
  for (const std::byte byte : data) {
    crc ^= static_cast<uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? kReflectedPolynomial : 0);
  }
  return crc;
}

// The first half of the digest: two layers with one UUID are the same layer.
void SetUuid(std::string_view diff_id, erofs::SuperBlock& super) {
  const std::string_view hex = HexOf(diff_id);
  for (size_t i = 0; i < sizeof(super.uuid); ++i) {
    std::from_chars(hex.data() + 2 * i, hex.data() + 2 * i + 2, super.uuid[i], 16);
  }
}

}  // namespace

ErofsWriter::ErofsWriter(int fd, uint64_t cap_bytes) : fd_(fd), cap_bytes_(cap_bytes) {
  buffer_.reserve(2 * kBufferBytes);
}

// Writes all of the buffer, or its whole blocks and keeps the rest.
Status ErofsWriter::Flush(bool keep_partial_block) {
  const size_t bytes =
      keep_partial_block ? buffer_.size() / kBlockBytes * kBlockBytes : buffer_.size();
  HULL_TRY(WriteBlocks(fd_, std::span(buffer_).first(bytes), buffer_start_));
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<ptrdiff_t>(bytes));
  buffer_start_ += bytes;
  return {};
}

// Positions only grow. Short gaps (the rest of a block) are filled, long ones become holes.
Status ErofsWriter::Put(uint64_t position, std::span<const std::byte> data) {
  const uint64_t end = buffer_start_ + buffer_.size();
  HULL_CHECK(position >= end);
  if (position - end >= kBlockBytes) {
    HULL_TRY(Flush(false));
    buffer_start_ = position / kBlockBytes * kBlockBytes;
  }
  buffer_.resize(position - buffer_start_);
  buffer_.insert(buffer_.end(), data.begin(), data.end());
  if (buffer_.size() >= kBufferBytes) HULL_TRY(Flush(true));
  return {};
}

Status ErofsWriter::BeginFile(Inode& inode, uint64_t size_bytes) {
  const uint64_t used = next_block_ * kBlockBytes;
  if (size_bytes > cap_bytes_ || used > cap_bytes_ - size_bytes) {
    return Fail(ErrorCode::kExhausted, "the layer's files are over the {} bytes allowed",
                cap_bytes_);
  }
  file_start_ = used;
  file_size_ = size_bytes;
  file_written_ = 0;
  inode.size_bytes = size_bytes;
  inode.first_block = size_bytes == 0 ? 0 : static_cast<uint32_t>(next_block_);
  next_block_ += (size_bytes + kBlockBytes - 1) / kBlockBytes;
  return {};
}

Status ErofsWriter::WriteFile(uint64_t offset, std::span<const std::byte> data) {
  if (offset < file_written_ || offset > file_size_ || data.size() > file_size_ - offset) {
    return Fail(ErrorCode::kCorrupt, "the pieces of a sparse file do not fit together");
  }
  file_written_ = offset + data.size();
  return Put(file_start_ + offset, data);
}

Status ErofsWriter::Finish(const Inode& root, std::string_view diff_id) {
  HULL_TRY(Flush(false));
  HULL_ASSIGN(const ErofsLayout layout, ErofsLayout::Place(root, next_block_));
  const uint64_t meta_block = next_block_;
  if (layout.size_bytes() > cap_bytes_) {
    return Fail(ErrorCode::kExhausted, "the layer's directories are over the {} bytes allowed",
                cap_bytes_);
  }
  HULL_TRY(WriteAt(fd_, layout.Encode(), meta_block * kBlockBytes));
  next_block_ += layout.size_bytes() / kBlockBytes;

  erofs::SuperBlock super = {};
  super.magic = erofs::kMagic;
  super.feature_compat = erofs::kCompatChecksum | erofs::kCompatMtime;
  super.block_bits = erofs::kBlockBits;
  super.root_nid = static_cast<uint16_t>(layout.root_nid());
  super.inodes = layout.inode_count();
  super.blocks = static_cast<uint32_t>(next_block_);
  super.meta_block = static_cast<uint32_t>(meta_block);
  SetUuid(diff_id, super);

  std::array<std::byte, kBlockBytes> block = {};
  std::memcpy(block.data() + erofs::kSuperOffset, &super, sizeof(super));
  super.checksum = Crc32c(std::span(block).subspan(erofs::kSuperOffset));
  std::memcpy(block.data() + erofs::kSuperOffset, &super, sizeof(super));
  if (::ftruncate(fd_, static_cast<off_t>(image_bytes())) != 0) return FailErrno("write the layer");
  return WriteAt(fd_, block, 0);
}

}  // namespace hull::images
