// The tar of a layer, made again from the layer and its recipe.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "images/store/records.h"
#include "vmm/base/result.h"

namespace hull::images {

struct RecipeHead {
  uint64_t tar_bytes = 0;
  uint64_t image_bytes = 0;  // of the EROFS file
};

// kUnsupported for a layer without a recipe, kCorrupt for what is none.
Result<RecipeHead> ReadRecipeHead(const StorePaths& paths, const std::string& diff_id);

// Size of the tar. kUnsupported for a layer without a recipe, which an older hull made.
Result<uint64_t> TarBytes(const StorePaths& paths, const std::string& diff_id);

// Gives the tar to `write` in pieces and verifies on the way that it is the one that `diff_id`
// names: kCorrupt comes when most of it has been written.
Status WriteLayerTar(const StorePaths& paths, const std::string& importer,
                     const std::string& diff_id, uint64_t tar_bytes,
                     const std::function<Status(std::string_view)>& write);

}  // namespace hull::images
