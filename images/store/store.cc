#include "images/store/store.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <utility>

#include "images/digest/digest.h"
#include "images/store/fetch.h"
#include "images/store/file_lock.h"
#include "images/store/inherit.h"
#include "images/store/layer_import.h"
#include "images/store/manifest.h"
#include "images/store/policy.h"
#include "images/store/records.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

// Layers hold other people's set-user-id programs and secrets; the store is for root.
constexpr mode_t kDirectoryMode = 0700;
constexpr size_t kIdPrefixDigits = 1;

std::string DefaultImporter() {
  if (const char* value = std::getenv("HULL_IMPORT"); value != nullptr && *value != '\0')
    return value;
  std::array<char, PATH_MAX> path{};
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  const std::string_view self(path.data(), length > 0 ? static_cast<size_t>(length) : 0);
  return std::string(self.substr(0, self.rfind('/') + 1)) + "hull-import";
}

bool Exists(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0;
}

Status MakeStore(const StorePaths& paths) {
  for (const std::string& path :
       {paths.Layers(), paths.Blobs(), paths.Images(), paths.Locks(), paths.Scratch()}) {
    HULL_TRY(MakeDirectories(path, kDirectoryMode));
  }
  return {};
}

// The image with its configuration and layers; `names` and digests come from the table.
Result<Image> LoadImage(const StorePaths& paths, const ImageRecord& record,
                        const NameTable& names) {
  Image image;
  image.id = record.id;
  image.manifest_digest = record.manifest_digest;
  image.digest = record.manifest_digest;
  for (const auto& [name, named] : names) {
    if (named.id != record.id) continue;
    if (image.names.empty()) image.digest = named.digest;
    image.names.push_back(name);
    image.digests.push_back(named.digest);
  }
  HULL_ASSIGN_WITHIN(fmt::format("image {}", record.id), image.config,
                     ReadFile(paths.Blob(record.id), ImportLimits{}.config_bytes));
  for (size_t i = 0; i < record.diff_ids.size(); ++i) {
    const std::string& diff_id = record.diff_ids[i];
    Layer layer{diff_id, paths.Layer(diff_id, record.variants[i]), 0};
    struct stat info = {};
    if (::stat(layer.path.c_str(), &info) != 0)
      return FailErrno("image {}: layer {}", record.id, layer.path);
    layer.size_bytes = static_cast<uint64_t>(info.st_size);
    image.size_bytes += layer.size_bytes;
    image.layers.push_back(std::move(layer));
  }
  HULL_ASSIGN_WITHIN(fmt::format("image {}", record.id), image.created, CreatedOf(image.config));
  return image;
}

// One pull, after its source is known.
class Puller {
 public:
  Puller(const StorePaths& paths, std::string importer, const PullOptions& options,
         const ScratchDirectory& scratch)
      : paths_(paths), importer_(std::move(importer)), options_(options), scratch_(scratch) {}

  // Returns the image's id.
  Result<std::string> Run(const ResolvedSource& resolved, const std::string& name);

 private:
  Result<bool> IsComplete(const ResolvedSource& resolved);
  Result<std::string> Import(const FetchedImage& fetched);
  Status ImportOne(const FetchedImage& fetched, const Descriptor& descriptor,
                   const std::string& diff_id);
  Status GiveName(const std::string& name, const std::string& id, const std::string& digest);
  void Tell(PullProgress::Phase phase, const std::string& subject, uint64_t done, uint64_t total) {
    if (options_.progress) options_.progress({phase, subject, done, total});
  }

  const StorePaths& paths_;
  std::string importer_;
  const PullOptions& options_;
  const ScratchDirectory& scratch_;
};

// Whether the image that `resolved` stands for is in the store with all its layers.
Result<bool> Puller::IsComplete(const ResolvedSource& resolved) {
  // Under a policy of signatures an image is asked for anew: it may be known by a name that may not
  // have it.
  if (resolved.manifest_text.empty() || !HostAcceptsAnything(options_.signature_policy))
    return false;
  HULL_ASSIGN(const Manifest manifest,
              ParseManifest(resolved.manifest_text, options_.limits.layers));
  HULL_ASSIGN(const auto record, ReadImageRecord(paths_, manifest.config.digest));
  if (!record || !Exists(paths_.Blob(record->id))) return false;
  for (size_t i = 0; i < record->diff_ids.size(); ++i) {
    if (!Exists(paths_.Layer(record->diff_ids[i], record->variants[i]))) return false;
  }
  return true;
}

Status Puller::ImportOne(const FetchedImage& fetched, const Descriptor& descriptor,
                         const std::string& diff_id) {
  const std::string target = paths_.Layer(diff_id);
  if (Exists(target)) {
    Tell(PullProgress::Phase::kExists, descriptor.digest, 0, 0);
    return {};
  }
  HULL_ASSIGN(const FileLock lock,
              FileLock::Acquire(paths_.Lock(fmt::format("layer-{}", HexOf(diff_id)))));
  if (Exists(target)) {
    Tell(PullProgress::Phase::kExists, descriptor.digest, 0, 0);
    return {};
  }
  LayerRequest request;
  request.importer = importer_;
  request.blob = fmt::format("{}/{}", fetched.blob_directory, HexOf(descriptor.digest));
  request.descriptor = descriptor;
  request.diff_id = diff_id;
  request.target = fmt::format("{}/{}.erofs", scratch_.path(), HexOf(diff_id));
  request.limit_bytes = options_.limits.layer_bytes;
  request.limit_entries = options_.limits.layer_entries;
  request.progress = [&](uint64_t done) {
    Tell(PullProgress::Phase::kImport, descriptor.digest, done, descriptor.size_bytes);
  };
  HULL_ASSIGN(const std::vector<std::string> implicit, ImportLayer(request));
  HULL_TRY(WriteImplicitDirectories(paths_, scratch_.path(), diff_id, implicit));
  HULL_TRY(PublishRename(request.target, target));
  Tell(PullProgress::Phase::kDone, descriptor.digest, descriptor.size_bytes, descriptor.size_bytes);
  return {};
}

Result<std::string> Puller::Import(const FetchedImage& fetched) {
  HULL_ASSIGN(const Manifest manifest,
              ParseManifest(fetched.manifest_text, options_.limits.layers));
  HULL_ASSIGN_WITHIN(
      "the image configuration", const std::string config,
      ReadBlob(fmt::format("{}/{}", fetched.blob_directory, HexOf(manifest.config.digest)),
               manifest.config, options_.limits.config_bytes));
  HULL_ASSIGN(const ConfigSummary summary,
              ParseConfig(config, {options_.os, options_.architecture, options_.variant}));
  if (summary.diff_ids.size() != manifest.layers.size()) {
    return Fail(ErrorCode::kCorrupt, "the manifest has {} layers, the image configuration {}",
                manifest.layers.size(), summary.diff_ids.size());
  }
  for (size_t i = 0; i < manifest.layers.size(); ++i) {
    HULL_TRY(ImportOne(fetched, manifest.layers[i], summary.diff_ids[i]));
  }
  HULL_ASSIGN(std::vector<std::string> variants,
              InheritDirectories(paths_, scratch_, summary.diff_ids));
  const ImageRecord record{manifest.config.digest, DigestOf(fetched.manifest_text),
                           summary.diff_ids, std::move(variants)};
  HULL_TRY(
      PublishFile(scratch_.path(), paths_.Blob(record.manifest_digest), fetched.manifest_text));
  HULL_TRY(PublishFile(scratch_.path(), paths_.Blob(record.id), config));
  HULL_TRY(PublishFile(scratch_.path(), paths_.ImageFile(record.id), EncodeImageRecord(record)));
  return record.id;
}

Status Puller::GiveName(const std::string& name, const std::string& id, const std::string& digest) {
  if (name.empty()) return {};
  HULL_ASSIGN(const FileLock lock, FileLock::Acquire(paths_.Lock("names")));
  HULL_ASSIGN(NameTable names, ReadNames(paths_));
  NameRecord& record = names[name];
  if (record.id == id && record.digest == digest) return {};
  record = {id, digest};
  return PublishFile(scratch_.path(), paths_.Names(), EncodeNames(names));
}

Result<std::string> Puller::Run(const ResolvedSource& resolved, const std::string& name) {
  // Whoever comes second for the same image waits, and then finds it there.
  std::optional<FileLock> lock;
  if (!resolved.manifest_text.empty()) {
    const std::string digest = DigestOf(resolved.manifest_text);
    HULL_ASSIGN(FileLock acquired,
                FileLock::Acquire(paths_.Lock(fmt::format("pull-{}", HexOf(digest)))));
    lock.emplace(std::move(acquired));
    HULL_ASSIGN(const bool complete, IsComplete(resolved));
    if (complete) {
      HULL_ASSIGN(const Manifest manifest,
                  ParseManifest(resolved.manifest_text, options_.limits.layers));
      HULL_TRY(GiveName(name, manifest.config.digest, resolved.digest));
      return manifest.config.digest;
    }
  }
  HULL_ASSIGN(const FetchedImage fetched, FetchImage(resolved, options_, scratch_.path()));
  HULL_ASSIGN(std::string id, Import(fetched));
  HULL_TRY(GiveName(name, id, fetched.digest));
  return id;
}

std::optional<std::string> IdByPrefix(const std::vector<std::string>& ids, std::string_view prefix,
                                      bool& ambiguous) {
  std::optional<std::string> found;
  for (const std::string& id : ids) {
    if (!HexOf(id).starts_with(prefix)) continue;
    ambiguous = found.has_value();
    if (ambiguous) return std::nullopt;
    found = id;
  }
  return found;
}

// A name with a digest stands for the image that was pulled under that repository with that digest.
const NameRecord* FindName(const NameTable& names, const ImageName& wanted) {
  if (const auto found = names.find(wanted.Full()); found != names.end()) return &found->second;
  if (wanted.digest.empty()) return nullptr;
  for (const auto& [name, record] : names) {
    const std::string_view repository =
        std::string_view(name).substr(0, wanted.Repository().size());
    const bool same = repository == wanted.Repository() &&
                      (name[repository.size()] == ':' || name[repository.size()] == '@');
    if (same && record.digest == wanted.digest) return &record;
  }
  return nullptr;
}

}  // namespace

Store::Store(std::string root, std::string importer)
    : root_(std::move(root)), importer_(std::move(importer)) {}

Result<Store> Store::Open(std::string root, std::string importer) {
  if (root.empty()) return Fail(ErrorCode::kInvalidArgument, "the store has no directory");
  return Store(std::move(root) + "/images",
               importer.empty() ? DefaultImporter() : std::move(importer));
}

Result<Image> Store::Resolve(std::string_view name_or_id) const {
  const StorePaths paths(root_);
  HULL_ASSIGN(const NameTable names, ReadNames(paths));
  std::string id;
  const Result<ImageName> name = ParseImageName(name_or_id);
  const NameRecord* named = name ? FindName(names, *name) : nullptr;
  if (named != nullptr) id = named->id;
  std::string_view prefix = name_or_id;
  if (prefix.starts_with("sha256:")) prefix.remove_prefix(7);
  const bool can_be_id = prefix.size() >= kIdPrefixDigits && prefix.size() <= 64 &&
                         prefix.find_first_not_of("0123456789abcdef") == std::string_view::npos;
  if (id.empty() && can_be_id) {
    HULL_ASSIGN(const std::vector<std::string> ids, ListImageIds(paths));
    bool ambiguous = false;
    id = IdByPrefix(ids, prefix, ambiguous).value_or("");
    if (ambiguous) {
      return Fail(ErrorCode::kInvalidArgument, "more than one image id begins with {}", prefix);
    }
  }
  if (id.empty() && !name && !can_be_id) return Fail(name.error());
  if (id.empty()) {
    return Fail(MakeError(ErrorCode::kNotFound, "no such image: {}", EscapeControl(name_or_id))
                    .WithHint(fmt::format("hull pull {}", EscapeControl(name_or_id))));
  }
  HULL_ASSIGN(const auto record, ReadImageRecord(paths, id));
  if (!record) return Fail(ErrorCode::kCorrupt, "image {} has a name but is not in the store", id);
  HULL_ASSIGN(Image image, LoadImage(paths, *record, names));
  if (named != nullptr) image.digest = named->digest;
  return image;
}

Result<std::vector<Image>> Store::List() const {
  const StorePaths paths(root_);
  HULL_ASSIGN(const NameTable names, ReadNames(paths));
  HULL_ASSIGN(const std::vector<std::string> ids, ListImageIds(paths));
  std::vector<Image> images;
  for (const std::string& id : ids) {
    HULL_ASSIGN(const auto record, ReadImageRecord(paths, id));
    if (!record) continue;  // removed since it was listed
    HULL_ASSIGN(Image image, LoadImage(paths, *record, names));
    images.push_back(std::move(image));
  }
  std::sort(images.begin(), images.end(), [](const Image& a, const Image& b) {
    return a.created != b.created ? a.created > b.created : a.id < b.id;
  });
  return images;
}

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
  ScratchDirectory::RemoveAbandoned(paths.Scratch());
  HULL_ASSIGN_WITHIN(attempt, const ScratchDirectory scratch,
                     ScratchDirectory::Make(paths.Scratch()));
  HULL_ASSIGN_WITHIN(attempt, const ResolvedSource resolved, ResolveSource(source, options));
  if (name.empty()) name = resolved.name;
  std::string previous_id;
  if (!name.empty()) {
    if (const Result<Image> previous = Resolve(name)) previous_id = previous->id;
  }
  HULL_ASSIGN_WITHIN(attempt, const std::string id,
                     Puller(paths, importer_, options, scratch).Run(resolved, name));
  HULL_ASSIGN(Image image, Resolve(name.empty() ? id : name));
  image.pulled_name = name;
  image.is_new = image.id != previous_id;
  return image;
}

}  // namespace hull::images
