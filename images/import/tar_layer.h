// A layer's blob, read once from front to end, as an EROFS file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/base/result.h"

namespace hull::images {

struct TarLimits {
  uint64_t bytes = uint64_t{64} << 30;  // of the tar, and of the EROFS file
  uint64_t entries = 4'000'000;
};

struct TarLayerReport {
  std::string blob_digest;
  uint64_t blob_bytes = 0;
  std::string diff_id;
  uint64_t tar_bytes = 0;
  uint64_t image_bytes = 0;
  std::vector<std::string> implicit_directories;
  // Files of layers below that hard links lead to (layer_tree.h); those names are left out.
  std::vector<std::string> lower_links;
  uint64_t dropped_xattrs = 0;
};

// Reads the blob from `blob_fd` to its end and writes the EROFS file to `image_fd`, an empty file.
// `recipe_fd`: an empty file for the way back (recipe.h), or -1. Whatever the blob holds, nothing
// but these two is written. `below_fd`: the files of layers below that hard links lead to
// (below_reader.h), or -1.
Result<TarLayerReport> ConvertTarLayer(int blob_fd, int image_fd, int recipe_fd,
                                       const TarLimits& limits, int below_fd = -1);

}  // namespace hull::images
