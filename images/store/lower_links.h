// Hard links of a layer to files that only layers below have.
//
// Unpacked onto the layers below, such a link is a further name of the file that is there. In an
// overlay two names are one file only if one layer has both: so the image gets a variant of the
// layer that has those files, too, under their own names, made of the layer's tar once more.
#pragma once

#include <string>
#include <vector>

#include "images/store/erofs_lookup.h"
#include "images/store/file_lock.h"
#include "images/store/records.h"
#include "vmm/base/result.h"

namespace hull::images {

// The list beside a layer: a path a line. Written before the layer is there; none when it is empty.
Status WriteLowerLinks(const StorePaths& paths, const std::string& scratch,
                       const std::string& diff_id, const std::vector<std::string>& targets);
Result<std::vector<std::string>> ReadLowerLinks(const StorePaths& paths,
                                                const std::string& diff_id);

struct LinkedLayer {
  std::string path;  // of the EROFS file, in the scratch directory
  std::string key;   // what it was made of beside the tar: the same for the same
  std::vector<std::string> implicit_directories;
};

// How layers are made.
struct Importing {
  std::string importer;
  uint64_t limit_bytes = 0;
  uint64_t limit_entries = 0;
};

// `lower`: lowest first. kCorrupt: none of them has a file that is linked to.
Result<LinkedLayer> MakeLinkedLayer(const StorePaths& paths, const ScratchDirectory& scratch,
                                    const Importing& importing, const std::string& diff_id,
                                    const std::vector<LayerFile>& lower,
                                    const std::vector<std::string>& targets);

}  // namespace hull::images
