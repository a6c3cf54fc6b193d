// An image archive (what `docker save` writes) taken apart: each of its files with name and
// content, in a form that is safe to read.
//
// Frames on a stream, little-endian: a kind (1 byte), the length of a name (4), the length of a
// content (8), then both. kFile: a regular file; kLink: a hard or symbolic link, whose content is
// the target; kEnd: the last frame, without either. Names are as the archive has them: hostile.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vmm/base/result.h"

namespace hull::images {

enum class SplitKind : uint8_t { kEnd = 'E', kFile = 'F', kLink = 'L' };

inline constexpr size_t kSplitHeaderBytes = 13;
inline constexpr size_t kSplitNameBytes = 4096;

struct SplitLimits {
  uint64_t bytes = 0;    // of the archive, decompressed
  uint64_t entries = 0;  // files and links; directories do not count
};

// Reads the archive from `archive_fd` to its end, writes frames to `out_fd`.
Status SplitArchive(int archive_fd, int out_fd, const SplitLimits& limits);

}  // namespace hull::images
