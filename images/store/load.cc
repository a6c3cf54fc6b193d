// Store::Load: all images of an archive.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "images/digest/digest.h"
#include "images/store/assemble.h"
#include "images/store/collect.h"
#include "images/store/docker_archive.h"
#include "images/store/fetch.h"
#include "images/store/layer_import.h"
#include "images/store/manifest.h"
#include "images/store/policy.h"
#include "images/store/split_reader.h"
#include "images/store/store.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

constexpr size_t kImages = 1'000;

class Loader {
 public:
  Loader(const StorePaths& paths, const std::string& importer, const PullOptions& options,
         const ScratchDirectory& scratch)
      : paths_(paths), importer_(importer), options_(options), scratch_(scratch) {}

  Status LoadArchive(int fd) {
    const std::string directory = scratch_.path() + "/archive";
    HULL_TRY(MakeDirectories(directory, 0700));
    HULL_ASSIGN(const SplitArchiveFiles files,
                SplitArchiveFiles::Read(fd, importer_, directory, options_));
    if (files.Has("manifest.json")) return LoadDocker(files);
    if (files.Has("oci-layout") && files.Has("index.json")) return LoadLayout(directory);
    return Fail(ErrorCode::kCorrupt,
                "it is no image archive: it has neither manifest.json nor an OCI layout");
  }

  Status LoadLayout(const std::string& directory) {
    HULL_ASSIGN(const std::vector<LayoutEntry> entries, ListLayout(directory, options_));
    if (entries.size() > kImages)
      return Fail(ErrorCode::kExhausted, "the archive has more than {} images", kImages);
    for (const LayoutEntry& entry : entries) {
      HULL_ASSIGN(const ResolvedSource resolved, ResolveEntry(directory, entry, options_));
      // Signatures and the like may stand beside images.
      if (entries.size() > 1 && IsArtifact(resolved.manifest_text)) continue;
      std::vector<std::string> names;
      if (!resolved.name.empty()) names.push_back(resolved.name);
      HULL_TRY(LoadManifest(resolved.manifest_text, directory + "/blobs/sha256", std::move(names),
                            resolved.digest));
    }
    if (loaded_.empty() && !entries.empty())
      return Fail(ErrorCode::kUnsupported, "there is no container image in it");
    return {};
  }

  Status LoadDirectory(int fd) {
    const std::string directory = fmt::format("/proc/self/fd/{}", fd);
    const auto has = [&](const char* name) {
      return ::faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    };
    if (!has("oci-layout") && has("version") && has("manifest.json"))
      return LoadPlainDirectory(directory);
    if (!has("oci-layout")) {
      return Fail(ErrorCode::kCorrupt,
                  "the directory is no image's: it has neither oci-layout nor manifest.json and "
                  "version");
    }
    return LoadLayout(directory);
  }

  // What `podman save --format docker-dir` and skopeo's "dir:" write: one image without a name.
  Status LoadPlainDirectory(const std::string& directory) {
    HULL_ASSIGN(const std::string text,
                ReadFile(directory + "/manifest.json", options_.limits.manifest_bytes));
    HULL_ASSIGN(const DocumentKind kind, KindOfDocument(text));
    if (kind != DocumentKind::kManifest)
      return Fail(ErrorCode::kUnsupported, "the directory has images for several platforms");
    return LoadManifest(text, directory, {}, DigestOf(text));
  }

  std::vector<Loaded> TakeLoaded() { return std::move(loaded_); }

 private:
  // Blobs stand in `blob_directory` under the digits of their digest.
  Status LoadManifest(const std::string& text, const std::string& blob_directory,
                      std::vector<std::string> names, const std::string& digest) {
    const auto path = [&](const Descriptor& descriptor) {
      return fmt::format("{}/{}", blob_directory, HexOf(descriptor.digest));
    };
    HULL_ASSIGN(const Manifest manifest, ParseManifest(text, options_.limits.layers));
    HULL_ASSIGN_WITHIN(
        "the image configuration", std::string config,
        ReadBlob(path(manifest.config), manifest.config, options_.limits.config_bytes));
    HULL_ASSIGN(const ImageParts parts, ParseParts(text, std::move(config), options_));
    BlobSource blobs;
    blobs.find = [&](const Descriptor& layer) -> Result<std::string> { return path(layer); };
    return Make(parts, blobs, std::move(names), digest);
  }

  Status LoadDocker(const SplitArchiveFiles& files) {
    HULL_ASSIGN(const std::vector<DockerArchiveImage> images, ListDockerArchive(files, options_));
    for (const DockerArchiveImage& image : images) {
      HULL_ASSIGN(DockerImage read, ReadDockerImage(files, image, options_));
      const std::string digest = DigestOf(read.manifest);
      HULL_ASSIGN(const ImageParts parts,
                  ParseParts(std::move(read.manifest), std::move(read.config), options_));
      BlobSource blobs;
      blobs.find = [&](const Descriptor& layer) -> Result<std::string> {
        return read.layer_paths.at(layer.digest);
      };
      HULL_TRY(Make(parts, blobs, std::move(read.names), digest));
    }
    return {};
  }

  Status Make(const ImageParts& parts, const BlobSource& blobs, std::vector<std::string> names,
              const std::string& digest) {
    Assembler assembler(paths_, importer_, options_, scratch_);
    HULL_TRY(assembler.Pin(parts));
    HULL_TRY(assembler.ImportLayers(parts, blobs));
    HULL_TRY(assembler.Publish(parts, names.empty() ? "" : names.front(), digest));
    const std::string& id = parts.manifest.config.digest;
    for (size_t i = 1; i < names.size(); ++i) {
      HULL_ASSIGN(const FileLock lock, LockStore(paths_));
      HULL_TRY(GiveName(paths_, scratch_, names[i], {id, digest}));
    }
    const auto same = std::find_if(loaded_.begin(), loaded_.end(),
                                   [&](const Loaded& loaded) { return loaded.id == id; });
    if (same == loaded_.end()) {
      loaded_.push_back({id, std::move(names)});
    } else {
      same->names.insert(same->names.end(), names.begin(), names.end());
    }
    return {};
  }

  const StorePaths& paths_;
  const std::string& importer_;
  const PullOptions& options_;
  const ScratchDirectory& scratch_;
  std::vector<Loaded> loaded_;
};

}  // namespace

Result<std::vector<Loaded>> Store::Load(int fd, const PullOptions& options) {
  const StorePaths paths(root_);
  // skopeo enforces the policy, and cannot read a stream.
  if (!HostAcceptsAnything(options.signature_policy)) {
    return Fail(
        MakeError(ErrorCode::kUnsupported,
                  "the host's policy.json does not accept every image, and load cannot ask it")
            .WithHint("hull pull docker-archive:FILE[:NAME]"));
  }
  struct stat info = {};
  if (::fstat(fd, &info) != 0) return FailErrno("examine the archive");
  HULL_TRY_WITHIN("load", MakeStore(paths));
  HULL_ASSIGN_WITHIN("load", const ScratchDirectory scratch,
                     ScratchDirectory::Make(paths.Scratch()));
  ScratchDirectory::RemoveAbandoned(paths.Scratch());
  std::mutex mutex;
  PullOptions serialised = options;
  if (options.progress) {
    serialised.progress = [&](const PullProgress& progress) {
      const std::lock_guard<std::mutex> guard(mutex);
      options.progress(progress);
    };
  }
  Loader loader(paths, importer_, serialised, scratch);
  const Status status = S_ISDIR(info.st_mode) ? loader.LoadDirectory(fd) : loader.LoadArchive(fd);
  UnpinLayers(scratch);
  const Status finished = FinishChange(paths, scratch, in_use_);
  if (!status) return Fail(HintAtRoom(status.error()).Within("load"));
  HULL_TRY_WITHIN("load", finished);
  return loader.TakeLoaded();
}

}  // namespace hull::images
