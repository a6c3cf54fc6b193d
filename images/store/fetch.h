// Where an image comes from: a registry or an archive through skopeo, a layout directly.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

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

// Asks a registry or reads a layout's index. `scratch`: an existing directory.
Result<ResolvedSource> ResolveSource(const Source& source, const PullOptions& options,
                                     const std::string& scratch);

// One image of a layout.
struct LayoutEntry {
  Descriptor descriptor;  // a manifest or an index
  std::string name;       // full; empty when the layout gives none
};

// All images of the layout in directory `path`, in its order.
Result<std::vector<LayoutEntry>> ListLayout(const std::string& path, const PullOptions& options);

// What one of them stands for. kNotFound when an index has nothing for the platform.
Result<ResolvedSource> ResolveEntry(const std::string& path, const LayoutEntry& entry,
                                    const PullOptions& options);

// Copies all blobs of an archive or a layout into `scratch`, an existing directory, where it cannot
// be read where it is.
Result<FetchedImage> FetchLocal(const ResolvedSource& resolved, const PullOptions& options,
                                const std::string& scratch);

// "docker://repository@digest" of the one image that a registry's name was resolved to: the tag may
// have moved since.
std::string RegistryImage(const ResolvedSource& resolved);

// The blobs of a registry's image, arriving while layers are made of those that are there.
class RegistryFetch {
 public:
  // Starts fetching into `directory`, which exists. `have[i]`: layer i of `manifest` is not needed.
  static Result<std::unique_ptr<RegistryFetch>> Start(const ResolvedSource& resolved,
                                                      const Manifest& manifest,
                                                      const std::vector<bool>& have,
                                                      const PullOptions& options,
                                                      std::string directory);
  RegistryFetch(const RegistryFetch&) = delete;
  RegistryFetch& operator=(const RegistryFetch&) = delete;
  // Ends what is still going on.
  ~RegistryFetch();

  // Waits until the blob is there.
  Result<std::string> Find(const Descriptor& descriptor);
  void Release(const Descriptor& descriptor);
  // Waits for the end: the host's policy has its say before anything is believed.
  Status Finish();
  // Of the blobs that are wanted.
  uint64_t done_bytes() const;
  uint64_t total_bytes() const { return total_bytes_; }

 private:
  Status FetchAll(const std::string& reference);
  RegistryFetch(std::string directory, const PullOptions& options)
      : directory_(std::move(directory)), options_(options) {}
  std::string BlobPath(const Descriptor& descriptor) const;

  std::string directory_;
  const PullOptions& options_;
  uint64_t total_bytes_ = 0;
  uint64_t placeholder_bytes_ = 0;
  std::atomic<bool> cancel_ = false;
  std::atomic<bool> ended_ = false;
  Status result_;  // valid once ended_
  std::thread thread_;
};

}  // namespace hull::images
