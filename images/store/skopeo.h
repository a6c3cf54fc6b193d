// skopeo's command line: it brings registries, credentials, mirrors, signatures and the archive
// formats.
#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "images/store/store.h"
#include "vmm/base/result.h"

namespace hull::images {

// The manifest or index that `reference` (a skopeo name) stands for, byte for byte.
Result<std::string> SkopeoInspectRaw(const std::string& reference, const PullOptions& options);

// The configuration of the image that `reference` stands for, byte for byte.
Result<std::string> SkopeoInspectConfig(const std::string& reference, const PullOptions& options);

// The tags of a repository ("docker://..."), or the names in a docker archive, which may be
// unpacked into directory `temporary` for this.
Result<std::vector<std::string>> SkopeoTags(const std::string& reference,
                                            const PullOptions& options,
                                            const std::string& temporary = "");

// Copies an image into `directory` in skopeo's dir: form: manifest.json as it was and blobs as they
// were. `total_bytes`: for the progress; 0 when not known.
Status SkopeoCopy(const std::string& reference, const std::string& directory,
                  const PullOptions& options, uint64_t total_bytes);

// Copies the blobs of a registry's image into `directory`/blobs/sha256, which may hold some of them
// or, for blobs that are not wanted, files of their size: what is there is not fetched. A blob
// appears under its digest when it is complete. `cancel` as in child_process.h.
Status SkopeoFetchBlobs(const std::string& reference, const std::string& directory,
                        const PullOptions& options, const std::atomic<bool>& cancel);

// What skopeo printed when it failed, without its time stamps. For tests.
std::string SkopeoMessage(std::string_view errors);

}  // namespace hull::images
