// Makes one EROFS layer of one blob with hull-import.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "images/store/manifest.h"
#include "vmm/base/result.h"

namespace hull::images {

struct LayerRequest {
  std::string importer;   // the program
  std::string blob;       // path
  Descriptor descriptor;  // what the manifest says of the blob
  std::string diff_id;    // what the configuration says of the tar in it
  std::string target;     // path of the EROFS file to make; must not be there
  std::string recipe;     // path of the way back to make (images/import/recipe.h); likewise
  std::string below;      // files of layers below (images/import/below_reader.h); empty: none
  uint64_t limit_bytes = 0;
  uint64_t limit_entries = 0;
  std::function<void(uint64_t)> progress;  // blob bytes read so far; may be empty
};

struct ImportedLayer {
  std::vector<std::string> implicit_directories;  // that the tar has no entry for (inherit.h)
  std::vector<std::string> lower_links;           // files of layers below (lower_links.h)
};

// An error as hull-import writes it: "CODE ERRNO MESSAGE". Hostile.
Error ParseImporterError(std::string_view text);

// kCorrupt when blob and tar are not what manifest and configuration say. On an error no file is
// left that anyone could take for a layer: `target` and `recipe` may be there, incomplete.
Result<ImportedLayer> ImportLayer(const LayerRequest& request);

// Opens a blob of a layout that somebody else made: a regular file, no link to elsewhere.
Result<std::string> ReadBlob(const std::string& path, const Descriptor& descriptor,
                             uint64_t cap_bytes);

}  // namespace hull::images
