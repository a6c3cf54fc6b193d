// Where an image comes from: a registry or an archive through skopeo, a layout directly.
#pragma once

#include <string>

#include "images/store/manifest.h"
#include "images/store/reference.h"
#include "images/store/store.h"
#include "vmm/base/result.h"

namespace hull::images {

// What a source stands for, found out before anything large is copied.
struct ResolvedSource {
  Source source;
  std::string name;    // full; empty when the source gives none
  std::string digest;  // of the manifest or index that the name stands for; empty: not known yet
  std::string manifest_text;  // of the one image; empty: not known yet (archives)
};

// The manifest and the blobs of one image, on this host, nothing verified but what is said.
struct FetchedImage {
  std::string digest;
  std::string manifest_text;   // its digest is verified where one was promised
  std::string blob_directory;  // blobs under the hexadecimal part of their digest
};

// Asks a registry or reads a layout's index.
Result<ResolvedSource> ResolveSource(const Source& source, const PullOptions& options);

// Copies what must be copied into `scratch`, an existing directory.
Result<FetchedImage> FetchImage(const ResolvedSource& resolved, const PullOptions& options,
                                const std::string& scratch);

}  // namespace hull::images
