// How an image came to be, as its configuration tells.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "images/store/store.h"
#include "vmm/base/result.h"

namespace hull::images {

// Strings are the image's own: hostile.
struct HistoryStep {
  std::string created;  // RFC 3339; may be empty
  std::string created_by;
  std::string comment;
  uint64_t size_bytes = 0;  // of the layer it made; 0 without one
};

// The last step first. Layers that no step tells of have a step without words. kCorrupt when the
// configuration cannot be read.
Result<std::vector<HistoryStep>> HistoryOf(const Image& image);

}  // namespace hull::images
