// EROFS on disk, as far as hull writes it: uncompressed, 4 KiB blocks, 64-byte inodes.
// Source: Linux 6.12, fs/erofs/erofs_fs.h and Documentation/filesystems/erofs.rst. All
// little-endian, as the hosts that hull runs on are.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace hull::images::erofs {

static_assert(std::endian::native == std::endian::little);

inline constexpr uint32_t kBlockBits = 12;
inline constexpr uint32_t kBlockBytes = 1U << kBlockBits;
inline constexpr uint64_t kSuperOffset = 1024;
inline constexpr uint32_t kMagic = 0xE0F5E1E2;  // linux/magic.h: EROFS_SUPER_MAGIC_V1
// An inode's number (nid) is its offset in the metadata area in units of this.
inline constexpr uint64_t kSlotBytes = 32;

inline constexpr uint32_t kCompatChecksum = 0x1;  // EROFS_FEATURE_COMPAT_SB_CHKSUM
inline constexpr uint32_t kCompatMtime = 0x2;     // EROFS_FEATURE_COMPAT_MTIME

struct [[gnu::packed]] SuperBlock {
  uint32_t magic;
  uint32_t checksum;
  uint32_t feature_compat;
  uint8_t block_bits;
  uint8_t extension_slots;
  uint16_t root_nid;
  uint64_t inodes;
  uint64_t build_time_s;
  uint32_t build_time_ns;
  uint32_t blocks;
  uint32_t meta_block;
  uint32_t xattr_block;
  uint8_t uuid[16];
  char volume_name[16];
  uint32_t feature_incompat;
  uint8_t unused[44];
};
static_assert(sizeof(SuperBlock) == 128);
static_assert(offsetof(SuperBlock, meta_block) == 40);
static_assert(offsetof(SuperBlock, feature_incompat) == 80);

// i_format: bit 0 says 64-byte inode, bits 1 to 3 where the data is.
inline constexpr uint16_t kExtendedInode = 1;
inline constexpr uint16_t kFlatPlain = 0 << 1;   // in blocks of its own; what DAX needs
inline constexpr uint16_t kFlatInline = 2 << 1;  // the last, partial block stands behind the inode

struct [[gnu::packed]] DiskInode {
  uint16_t format;
  uint16_t xattr_count;
  uint16_t mode;
  uint16_t reserved;
  uint64_t size;
  uint32_t block_or_device;
  uint32_t number;
  uint32_t uid;
  uint32_t gid;
  uint64_t mtime_s;
  uint32_t mtime_ns;
  uint32_t links;
  uint8_t reserved2[16];
};
static_assert(sizeof(DiskInode) == 64);
static_assert(offsetof(DiskInode, mtime_s) == 32);

struct [[gnu::packed]] XattrHeader {
  uint32_t name_filter;
  uint8_t shared_count;
  uint8_t reserved[7];
};
static_assert(sizeof(XattrHeader) == 12);
inline constexpr uint32_t kXattrUnit = 4;

struct [[gnu::packed]] XattrEntry {
  uint8_t name_length;
  uint8_t name_index;
  uint16_t value_size;
};
static_assert(sizeof(XattrEntry) == 4);

struct [[gnu::packed]] DirectoryEntry {
  uint64_t nid;
  uint16_t name_offset;
  uint8_t file_type;
  uint8_t reserved;
};
static_assert(sizeof(DirectoryEntry) == 12);

}  // namespace hull::images::erofs
