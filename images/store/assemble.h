// Makes an image of its parts: layers that are missing are imported, then the records appear.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "images/store/file_lock.h"
#include "images/store/manifest.h"
#include "images/store/records.h"
#include "images/store/store.h"
#include "vmm/base/result.h"

namespace hull::images {

struct ImageParts {
  std::string manifest_text;  // its digest is what was promised, if anything was
  std::string config_text;    // verified against the manifest
  Manifest manifest;
  ConfigSummary summary;
};

// Takes manifest and configuration apart. kCorrupt when they do not fit together.
Result<ImageParts> ParseParts(std::string manifest_text, std::string config_text,
                              const PullOptions& options);

// Whether a layer is there with all that belongs to it. One without a recipe, which an older hull
// made, or of another size than its recipe says is made again by whoever asks for it.
bool HasLayer(const StorePaths& paths, const std::string& diff_id);

// Where the layers' blobs come from. Called by several threads.
struct BlobSource {
  // The path of a blob that is needed now; may wait for it.
  std::function<Result<std::string>(const Descriptor&)> find;
  // The blob is not needed any more; may be empty.
  std::function<void(const Descriptor&)> release;
};

class Assembler {
 public:
  Assembler(const StorePaths& paths, std::string importer, const PullOptions& options,
            const ScratchDirectory& scratch)
      : paths_(paths), importer_(std::move(importer)), options_(options), scratch_(scratch) {}

  // From here on nobody removes the image's layers. Returns for each whether it is there.
  Result<std::vector<bool>> Pin(const ImageParts& parts);

  // After Pin: imports what is missing, some at a time.
  Status ImportLayers(const ImageParts& parts, const BlobSource& blobs);

  // After ImportLayers: writes the records and gives the image its name (unless empty), which stood
  // for `digest`.
  Status Publish(const ImageParts& parts, const std::string& name, const std::string& digest);

 private:
  Status ImportOne(const Descriptor& descriptor, const std::string& diff_id, size_t number,
                   const BlobSource& blobs);
  void Tell(PullProgress::Phase phase, const std::string& subject, uint64_t done, uint64_t total) {
    if (options_.progress) options_.progress({phase, subject, done, total});
  }

  const StorePaths& paths_;
  std::string importer_;
  const PullOptions& options_;
  const ScratchDirectory& scratch_;
};

// Makes `name` stand for an image that is in the store. The store is locked.
Status GiveName(const StorePaths& paths, const ScratchDirectory& scratch, const std::string& name,
                const NameRecord& record);

}  // namespace hull::images
