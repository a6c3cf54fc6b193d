// What a layer's paths mean on the layers below it: unpacked onto them, "lib/x" goes through their
// symbolic link "lib" to where that leads. In an overlay it would be a new directory that hides the
// link, so the image gets a variant of the layer, made with those links in it (lower_links.h).
#pragma once

#include <set>
#include <string>
#include <vector>

#include "images/store/erofs_lookup.h"
#include "vmm/base/result.h"

namespace hull::images {

// A layer and those below it.
struct LayerStack {
  const LayerFile& own;
  const std::vector<LayerFile>& lower;  // lowest first
  // Directories that the layer's tar has no entry for: there, those below count.
  const std::set<std::string>& implicit;
};

// What is to be known of layers below before the layer's tar is read, as paths without links: the
// symbolic links that its implicit directories and the targets of its hard links lead through, and
// where these lead to.
Result<std::vector<std::string>> NeededOfLower(const LayerStack& stack,
                                               const std::vector<std::string>& hard_link_targets);

}  // namespace hull::images
