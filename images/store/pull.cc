// Store::Pull: from a name somewhere else to an image here.
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "images/digest/digest.h"
#include "images/store/assemble.h"
#include "images/store/collect.h"
#include "images/store/docker_archive.h"
#include "images/store/fetch.h"
#include "images/store/file_lock.h"
#include "images/store/layer_import.h"
#include "images/store/policy.h"
#include "images/store/records.h"
#include "images/store/skopeo.h"
#include "images/store/store.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

bool Exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

// One pull, after its source is known.
class Puller {
 public:
  Puller(const StorePaths& paths, const std::string& importer, const PullOptions& options,
         const ScratchDirectory& scratch)
      : paths_(paths),
        options_(options),
        scratch_(scratch),
        assembler_(paths, importer, options, scratch) {}

  // Returns the image's id.
  Result<std::string> Run(const ResolvedSource& resolved, const std::string& name);

 private:
  Result<std::optional<std::string>> NameWhatIsThere(const ResolvedSource& resolved,
                                                     const std::string& name);
  Result<std::string> RegistryConfig(const ResolvedSource& resolved, const Descriptor& config);
  Result<std::string> FromRegistry(const ResolvedSource& resolved, const std::string& name);
  Result<std::string> FromHere(const ResolvedSource& resolved, const std::string& name);

  const StorePaths& paths_;
  const PullOptions& options_;
  const ScratchDirectory& scratch_;
  Assembler assembler_;
};

// When the image that `resolved` stands for is in the store with all its layers, names it and
// returns its id.
Result<std::optional<std::string>> Puller::NameWhatIsThere(const ResolvedSource& resolved,
                                                           const std::string& name) {
  // Under a policy of signatures an image is asked for anew: it may be known by a name that may not
  // have it.
  if (!HostAcceptsAnything(options_.signature_policy)) return std::nullopt;
  HULL_ASSIGN(const Manifest manifest,
              ParseManifest(resolved.manifest_text, options_.limits.layers));
  // Locked: what is there now is there when it has its name.
  HULL_ASSIGN(const FileLock lock, LockStore(paths_));
  HULL_ASSIGN(const auto record, ReadImageRecord(paths_, manifest.config.digest));
  if (!record || !Exists(paths_.Blob(record->id))) return std::nullopt;
  for (size_t i = 0; i < record->diff_ids.size(); ++i) {
    if (!Exists(paths_.Layer(record->diff_ids[i], record->variants[i])) ||
        !HasLayer(paths_, record->diff_ids[i])) {
      return std::nullopt;
    }
  }
  HULL_TRY(GiveName(paths_, scratch_, name, {record->id, resolved.digest}));
  return record->id;
}

Result<std::string> Puller::RegistryConfig(const ResolvedSource& resolved,
                                           const Descriptor& config) {
  if (config.size_bytes > options_.limits.config_bytes) {
    return Fail(ErrorCode::kExhausted,
                "the image configuration has {} bytes, more than the {} allowed", config.size_bytes,
                options_.limits.config_bytes);
  }
  HULL_ASSIGN(std::string text, SkopeoInspectConfig(RegistryImage(resolved), options_));
  if (DigestOf(text) != config.digest) {
    return Fail(ErrorCode::kCorrupt, "the image configuration is {}, the manifest says {}",
                DigestOf(text), config.digest);
  }
  return text;
}

Result<std::string> Puller::FromRegistry(const ResolvedSource& resolved, const std::string& name) {
  HULL_ASSIGN(const Manifest manifest,
              ParseManifest(resolved.manifest_text, options_.limits.layers));
  HULL_ASSIGN(std::string config, RegistryConfig(resolved, manifest.config));
  HULL_ASSIGN(const ImageParts parts,
              ParseParts(resolved.manifest_text, std::move(config), options_));
  HULL_ASSIGN(const std::vector<bool> have, assembler_.Pin(parts));
  const bool complete = std::find(have.begin(), have.end(), false) == have.end();
  std::unique_ptr<RegistryFetch> fetch;
  if (!complete || !HostAcceptsAnything(options_.signature_policy)) {
    HULL_ASSIGN(fetch, RegistryFetch::Start(resolved, parts.manifest, have, options_,
                                            scratch_.path() + "/registry"));
  }
  BlobSource blobs;
  blobs.find = [&](const Descriptor& descriptor) -> Result<std::string> {
    if (fetch == nullptr) return Fail(ErrorCode::kCorrupt, "layer {} is gone", descriptor.digest);
    return fetch->Find(descriptor);
  };
  blobs.release = [&](const Descriptor& descriptor) { fetch->Release(descriptor); };
  HULL_TRY(assembler_.ImportLayers(parts, blobs));
  if (fetch != nullptr) HULL_TRY(fetch->Finish());
  HULL_TRY(assembler_.Publish(parts, name, resolved.digest));
  return parts.manifest.config.digest;
}

// A layout or an archive.
Result<std::string> Puller::FromHere(const ResolvedSource& resolved, const std::string& name) {
  HULL_ASSIGN(FetchedImage fetched, FetchLocal(resolved, options_, scratch_.path()));
  HULL_ASSIGN(const Manifest manifest,
              ParseManifest(fetched.manifest_text, options_.limits.layers));
  const auto path = [&](const Descriptor& descriptor) {
    return fmt::format("{}/{}", fetched.blob_directory, HexOf(descriptor.digest));
  };
  HULL_ASSIGN_WITHIN(
      "the image configuration", std::string config,
      ReadBlob(path(manifest.config), manifest.config, options_.limits.config_bytes));
  HULL_ASSIGN(const ImageParts parts,
              ParseParts(std::move(fetched.manifest_text), std::move(config), options_));
  HULL_TRY(assembler_.Pin(parts));
  BlobSource blobs;
  blobs.find = [&](const Descriptor& descriptor) -> Result<std::string> {
    return path(descriptor);
  };
  // A copy of our own takes space twice only as long as it must.
  if (fetched.blob_directory.starts_with(scratch_.path()))
    blobs.release = [&](const Descriptor& descriptor) { ::unlink(path(descriptor).c_str()); };
  HULL_TRY(assembler_.ImportLayers(parts, blobs));
  HULL_TRY(assembler_.Publish(parts, name, fetched.digest));
  return parts.manifest.config.digest;
}

Result<std::string> Puller::Run(const ResolvedSource& resolved, const std::string& name) {
  // Whoever comes second for the same image waits, and then finds it there.
  std::optional<FileLock> lock;
  if (!resolved.manifest_text.empty()) {
    const std::string digest = DigestOf(resolved.manifest_text);
    HULL_ASSIGN(FileLock acquired,
                FileLock::Acquire(paths_.Lock(fmt::format("pull-{}", HexOf(digest)))));
    lock.emplace(std::move(acquired));
    HULL_ASSIGN(std::optional<std::string> id, NameWhatIsThere(resolved, name));
    if (id) return *std::move(id);
  }
  return resolved.source.kind == Source::Kind::kRegistry ? FromRegistry(resolved, name)
                                                         : FromHere(resolved, name);
}

// Archives are for skopeo only where the host's policy has something to say about them.
Result<ResolvedSource> Find(const Source& source, const std::string& importer,
                            const PullOptions& options, const ScratchDirectory& scratch) {
  const bool is_archive =
      source.kind == Source::Kind::kOciArchive || source.kind == Source::Kind::kDockerArchive;
  if (is_archive && HostAcceptsAnything(options.signature_policy))
    return ResolveArchiveHere(source, importer, options, scratch.path());
  return ResolveSource(source, options, scratch.path());
}

Result<std::string> PullInto(const StorePaths& paths, const std::string& importer,
                             const Source& source, const PullOptions& options,
                             const ScratchDirectory& scratch, std::string& name) {
  HULL_ASSIGN(const ResolvedSource resolved, Find(source, importer, options, scratch));
  if (name.empty()) name = resolved.name;
  return Puller(paths, importer, options, scratch).Run(resolved, name);
}

}  // namespace

Result<Image> Store::Pull(std::string_view reference, const PullOptions& options) {
  const StorePaths paths(root_);
  HULL_ASSIGN(const Source source, ParseSource(reference));
  std::string name;
  if (!options.name.empty()) {
    HULL_ASSIGN(const ImageName given, ParseImageName(options.name));
    name = given.Full();
  }
  const std::string attempt = fmt::format("pull {}", EscapeControl(reference));
  HULL_TRY_WITHIN(attempt, MakeStore(paths));
  HULL_ASSIGN_WITHIN(attempt, const ScratchDirectory scratch,
                     ScratchDirectory::Make(paths.Scratch()));
  // What killed pulls had fetched makes room now; the layers that they made may still be of use.
  ScratchDirectory::RemoveAbandoned(paths.Scratch());
  HULL_ASSIGN(const NameTable before, ReadNames(paths));
  std::mutex mutex;
  PullOptions serialised = options;
  if (options.progress) {
    serialised.progress = [&](const PullProgress& progress) {
      const std::lock_guard<std::mutex> guard(mutex);
      options.progress(progress);
    };
  }
  Result<std::string> id = PullInto(paths, importer_, source, serialised, scratch, name);
  Result<Image> image = Fail(ErrorCode::kFailed, "not pulled");
  if (id) {
    image = Resolve(name.empty() ? *id : name);
  } else {
    image = Fail(HintAtRoom(std::move(id).error()).Within(attempt));
  }
  // Of a pull that failed, nothing stays but what other images need.
  UnpinLayers(scratch);
  const Status finished = FinishChange(paths, scratch, in_use_);
  if (!image) return image;
  HULL_TRY(finished);
  const auto previous = before.find(name);
  image->pulled_name = name;
  image->is_new = previous == before.end() || previous->second.id != image->id;
  return image;
}

Result<std::vector<std::string>> Store::RemoteTags(std::string_view repository,
                                                   const PullOptions& options) const {
  HULL_ASSIGN(const Source source, ParseSource(repository));
  if (source.kind != Source::Kind::kRegistry || !source.name.digest.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "\"{}\" is not a registry's repository",
                EscapeControl(repository));
  }
  return SkopeoTags("docker://" + source.name.Repository(), options);
}

}  // namespace hull::images
