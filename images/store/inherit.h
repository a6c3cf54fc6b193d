// Directories that a layer has files in but no entry for.
//
// A tar may hold "tmp/x" and not "tmp". Unpacked onto the layers below, tmp keeps the mode and the
// owner it had there; in an overlay the upper layer's directory would win with what mkdir -p gives.
// So where a lower layer says something else, the image gets a variant of the layer: a copy in
// which those directories have the lower layer's mode, owner and time. A layer with hard links to
// files of layers below has a variant in any case (lower_links.h).
#pragma once

#include <string>
#include <vector>

#include "images/store/file_lock.h"
#include "images/store/lower_links.h"
#include "images/store/records.h"
#include "vmm/base/result.h"

namespace hull::images {

// The list beside a layer, as hull-import reports it: a path a line. Written before the layer is
// there.
Status WriteImplicitDirectories(const StorePaths& paths, const std::string& scratch,
                                const std::string& diff_id,
                                const std::vector<std::string>& directories);

// For layers that are all in the store, lowest first: the variant that each needs above the ones
// before it, empty for the layer as it is. Makes the variants that are missing.
Result<std::vector<std::string>> MakeVariants(const StorePaths& paths,
                                              const ScratchDirectory& scratch,
                                              const Importing& importing,
                                              const std::vector<std::string>& diff_ids);

}  // namespace hull::images
