// One image of docker's archives (manifest.json beside the files that it names), in the form that
// registries have images in.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "images/store/fetch.h"
#include "images/store/manifest.h"
#include "images/store/split_reader.h"
#include "images/store/store.h"
#include "vmm/base/result.h"

namespace hull::images {

struct DockerImage {
  std::string manifest;  // such as docker makes of such an image; the archive has none
  std::string config;
  std::map<std::string, std::string> layer_paths;  // by digest
  std::vector<std::string> names;                  // full
};

// What manifest.json lists.
Result<std::vector<DockerArchiveImage>> ListDockerArchive(const SplitArchiveFiles& files,
                                                          const PullOptions& options);

// kCorrupt when files are missing, or do not fit together.
Result<DockerImage> ReadDockerImage(const SplitArchiveFiles& files, const DockerArchiveImage& image,
                                    const PullOptions& options);

// Takes the archive that `source` names apart in `scratch`; from then on it is a layout there.
Result<ResolvedSource> ResolveArchiveHere(const Source& source, const std::string& importer,
                                          const PullOptions& options, const std::string& scratch);

}  // namespace hull::images
