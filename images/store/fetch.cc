#include "images/store/fetch.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <system_error>
#include <vector>

#include "images/digest/digest.h"
#include "images/store/layer_import.h"
#include "images/store/policy.h"
#include "images/store/skopeo.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";
// containerd, buildkit and `docker save` write the full name here and the bare tag into ref.name.
constexpr std::string_view kImageName = "io.containerd.image.name";
// An index may name further indexes; more than this is no image.
constexpr int kIndexDepth = 4;

Platform WantedPlatform(const PullOptions& options) {
  return {options.os, options.architecture, options.variant};
}

// Annotation `key`, or empty.
std::string Annotation(const Descriptor& descriptor, std::string_view key) {
  const auto found = descriptor.annotations.find(std::string(key));
  return found == descriptor.annotations.end() ? std::string() : found->second;
}

// The full name that a layout gives an image, if it gives one. A bare tag ("latest", "1.0") is
// none: it says nothing of the repository.
std::string NameFromAnnotations(const Descriptor& descriptor) {
  for (const std::string_view key : {kImageName, kRefName}) {
    const std::string text = Annotation(descriptor, key);
    if (text.find_first_of("/:") == std::string::npos) continue;
    if (const Result<ImageName> name = ParseImageName(text)) return name->Full();
  }
  return {};
}

std::string BlobDirectory(const Source& source) {
  return source.path + "/blobs/sha256";
}

Result<std::string> ReadLayoutDocument(const Source& source, const Descriptor& descriptor,
                                       const PullOptions& options) {
  return ReadBlob(fmt::format("{}/{}", BlobDirectory(source), HexOf(descriptor.digest)), descriptor,
                  options.limits.manifest_bytes);
}

// The entry of index.json that the tag names, or the only one.
Result<Descriptor> ChooseEntry(const Index& index, const Source& source, const Platform& wanted) {
  std::vector<Descriptor> chosen;
  std::string names;
  for (const Descriptor& descriptor : index.manifests) {
    const std::string name = Annotation(descriptor, kRefName);
    if (source.tag.empty() || name == source.tag ||
        Annotation(descriptor, kImageName) == source.tag || descriptor.digest == source.tag) {
      chosen.push_back(descriptor);
    }
    if (!names.empty()) names += ", ";
    names += name.empty() ? descriptor.digest : EscapeControl(name);
  }
  if (chosen.size() > 1) {
    // For several platforms under one name, or signatures beside the image.
    std::vector<Descriptor> fitting;
    for (const Descriptor& descriptor : chosen) {
      if (IsImageType(descriptor.media_type) && Serves(descriptor.platform, wanted))
        fitting.push_back(descriptor);
    }
    if (!fitting.empty()) chosen = std::move(fitting);
  }
  if (chosen.size() == 1) return chosen.front();
  if (index.manifests.empty()) return Fail(ErrorCode::kNotFound, "the layout has no images");
  if (chosen.empty()) {
    return Fail(ErrorCode::kNotFound, "the layout has no image \"{}\"{}{}",
                EscapeControl(source.tag), names.empty() ? "" : ", only ", names);
  }
  return Fail(ErrorCode::kInvalidArgument, "the layout has several images: add one of :{}", names);
}

Result<Index> ReadLayoutIndex(const std::string& path, const PullOptions& options) {
  HULL_ASSIGN(const std::string version,
              ReadFile(path + "/oci-layout", options.limits.manifest_bytes));
  if (version.find("\"imageLayoutVersion\"") == std::string::npos) {
    return Fail(ErrorCode::kCorrupt, "{} is not an OCI layout", path);
  }
  HULL_ASSIGN(const std::string text,
              ReadFile(path + "/index.json", options.limits.manifest_bytes));
  return ParseIndex(text);
}

Result<ResolvedSource> ResolveLayout(const Source& source, const PullOptions& options) {
  HULL_ASSIGN(const Index index, ReadLayoutIndex(source.path, options));
  LayoutEntry entry;
  HULL_ASSIGN(entry.descriptor, ChooseEntry(index, source, WantedPlatform(options)));
  entry.name = NameFromAnnotations(entry.descriptor);
  HULL_ASSIGN(ResolvedSource resolved, ResolveEntry(source.path, entry, options));
  resolved.source.tag = source.tag;
  return resolved;
}

std::string RegistryReference(const ImageName& name, std::string_view digest) {
  return fmt::format("docker://{}@{}", name.Repository(), digest);
}

Result<ResolvedSource> ResolveRegistry(const Source& source, const PullOptions& options) {
  ResolvedSource resolved;
  resolved.source = source;
  resolved.name = source.name.Full();
  HULL_ASSIGN(std::string text, SkopeoInspectRaw("docker://" + resolved.name, options));
  resolved.digest = DigestOf(text);
  if (!source.name.digest.empty() && resolved.digest != source.name.digest) {
    return Fail(ErrorCode::kCorrupt, "{}: the registry's answer is {}", resolved.name,
                resolved.digest);
  }
  for (int depth = 0; depth < kIndexDepth; ++depth) {
    HULL_ASSIGN_WITHIN(resolved.name, const DocumentKind kind, KindOfDocument(text));
    if (kind == DocumentKind::kManifest) {
      resolved.manifest_text = std::move(text);
      return resolved;
    }
    HULL_ASSIGN_WITHIN(resolved.name, const Index index, ParseIndex(text));
    HULL_ASSIGN_WITHIN(resolved.name, const Descriptor descriptor,
                       ChoosePlatform(index, WantedPlatform(options)));
    HULL_ASSIGN(text, SkopeoInspectRaw(RegistryReference(source.name, descriptor.digest), options));
    if (DigestOf(text) != descriptor.digest) {
      return Fail(ErrorCode::kCorrupt, "{}: the registry's answer for {} is {}", resolved.name,
                  descriptor.digest, DigestOf(text));
    }
  }
  return Fail(ErrorCode::kCorrupt, "{}: indexes are nested more than {} deep", resolved.name,
              kIndexDepth);
}

// A layout or an archive as skopeo names it.
std::string LocalReference(const Source& source) {
  std::string_view transport = "oci";
  if (source.kind == Source::Kind::kDockerArchive) transport = "docker-archive";
  if (source.kind == Source::Kind::kOciArchive) transport = "oci-archive";
  return fmt::format("{}:{}{}{}", transport, source.path, source.tag.empty() ? "" : ":",
                     source.tag);
}

Result<ResolvedSource> ResolveArchive(const Source& source, const PullOptions& options,
                                      const std::string& scratch) {
  ResolvedSource resolved;
  resolved.source = source;
  // The file is looked at first: skopeo's own words for a missing one are less clear.
  HULL_TRY(OpenFile(source.path, 0));
  std::string name = source.tag;
  if (source.kind == Source::Kind::kDockerArchive && name.empty()) {
    HULL_ASSIGN(const std::vector<std::string> names,
                SkopeoTags("docker-archive:" + source.path, options, scratch));
    if (!names.empty()) name = names.front();
  }
  if (source.kind == Source::Kind::kOciArchive && name.find_first_of("/:") == std::string::npos)
    name.clear();
  if (const Result<ImageName> parsed = ParseImageName(name)) resolved.name = parsed->Full();
  return resolved;
}

Result<FetchedImage> CopyWithSkopeo(const ResolvedSource& resolved, const PullOptions& options,
                                    const std::string& scratch) {
  FetchedImage image;
  image.digest = resolved.digest;
  image.blob_directory = scratch + "/image";
  HULL_TRY(MakeDirectories(image.blob_directory, 0700));
  HULL_TRY(SkopeoCopy(LocalReference(resolved.source), image.blob_directory, options, 0));
  HULL_ASSIGN(image.manifest_text,
              ReadFile(image.blob_directory + "/manifest.json", options.limits.manifest_bytes));
  const std::string digest = DigestOf(image.manifest_text);
  if (image.digest.empty()) image.digest = digest;
  if (!resolved.manifest_text.empty() && digest != DigestOf(resolved.manifest_text)) {
    return Fail(ErrorCode::kCorrupt, "skopeo brought manifest {} instead of {}", digest,
                DigestOf(resolved.manifest_text));
  }
  return image;
}

// Of a blob's size, which is all that skopeo looks at.
Status MakeHole(const std::string& path, uint64_t bytes) {
  HULL_ASSIGN(const UniqueFd fd, OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return FailErrno("write {}", path);
  return {};
}

uint64_t BytesIn(const std::string& directory) {
  uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const uint64_t size = entry.is_regular_file(error) ? entry.file_size(error) : 0;
    if (!error) bytes += size;
  }
  return bytes;
}

}  // namespace

Result<ResolvedSource> ResolveSource(const Source& source, const PullOptions& options,
                                     const std::string& scratch) {
  if (options.progress) options.progress({PullProgress::Phase::kResolve, {}, 0, 0});
  switch (source.kind) {
    case Source::Kind::kOciLayout:
      return ResolveLayout(source, options);
    case Source::Kind::kOciArchive:
    case Source::Kind::kDockerArchive:
      return ResolveArchive(source, options, scratch);
    case Source::Kind::kRegistry:
      break;
  }
  return ResolveRegistry(source, options);
}

Result<std::vector<LayoutEntry>> ListLayout(const std::string& path, const PullOptions& options) {
  HULL_ASSIGN(const Index index, ReadLayoutIndex(path, options));
  std::vector<LayoutEntry> entries;
  // Several entries of one name are one image for several platforms.
  std::map<std::string, Index> by_name;
  for (const Descriptor& descriptor : index.manifests) {
    const std::string name = NameFromAnnotations(descriptor);
    if (!name.empty()) by_name[name].manifests.push_back(descriptor);
    if (name.empty() || by_name[name].manifests.size() == 1) entries.push_back({descriptor, name});
  }
  for (LayoutEntry& entry : entries) {
    const auto same = by_name.find(entry.name);
    if (same == by_name.end() || same->second.manifests.size() == 1) continue;
    HULL_ASSIGN_WITHIN(entry.name, entry.descriptor,
                       ChoosePlatform(same->second, WantedPlatform(options)));
  }
  // What is for others is left out where there is something for us; else it says what it is.
  const auto is_ours = [&](const LayoutEntry& entry) {
    const Descriptor& descriptor = entry.descriptor;
    return (descriptor.media_type.empty() || IsImageType(descriptor.media_type)) &&
           Serves(descriptor.platform, WantedPlatform(options));
  };
  if (std::any_of(entries.begin(), entries.end(), is_ours))
    std::erase_if(entries, [&](const LayoutEntry& entry) { return !is_ours(entry); });
  return entries;
}

Result<ResolvedSource> ResolveEntry(const std::string& path, const LayoutEntry& entry,
                                    const PullOptions& options) {
  ResolvedSource resolved;
  resolved.source.kind = Source::Kind::kOciLayout;
  resolved.source.path = path;
  resolved.name = entry.name;
  resolved.digest = entry.descriptor.digest;
  Descriptor descriptor = entry.descriptor;
  for (int depth = 0; depth < kIndexDepth; ++depth) {
    HULL_ASSIGN(std::string text, ReadLayoutDocument(resolved.source, descriptor, options));
    HULL_ASSIGN(const DocumentKind kind, KindOfDocument(text));
    if (kind == DocumentKind::kManifest) {
      resolved.manifest_text = std::move(text);
      return resolved;
    }
    HULL_ASSIGN(const Index inner, ParseIndex(text));
    HULL_ASSIGN(descriptor, ChoosePlatform(inner, WantedPlatform(options)));
  }
  return Fail(ErrorCode::kCorrupt, "the layout's indexes are nested more than {} deep",
              kIndexDepth);
}

Result<FetchedImage> FetchLocal(const ResolvedSource& resolved, const PullOptions& options,
                                const std::string& scratch) {
  // A layout needs no copy, unless the host's policy has something to say about it.
  if (resolved.source.kind != Source::Kind::kOciLayout ||
      !HostAcceptsAnything(options.signature_policy)) {
    return CopyWithSkopeo(resolved, options, scratch);
  }
  return FetchedImage{resolved.digest, resolved.manifest_text, BlobDirectory(resolved.source)};
}

std::string RegistryImage(const ResolvedSource& resolved) {
  return RegistryReference(resolved.source.name, DigestOf(resolved.manifest_text));
}

std::string RegistryFetch::BlobPath(const Descriptor& descriptor) const {
  return fmt::format("{}/blobs/sha256/{}", directory_, HexOf(descriptor.digest));
}

Result<std::unique_ptr<RegistryFetch>> RegistryFetch::Start(const ResolvedSource& resolved,
                                                            const Manifest& manifest,
                                                            const std::vector<bool>& have,
                                                            const PullOptions& options,
                                                            std::string directory) {
  std::unique_ptr<RegistryFetch> fetch(new RegistryFetch(std::move(directory), options));
  HULL_TRY(MakeDirectories(fetch->directory_ + "/blobs/sha256", 0700));
  HULL_TRY(MakeDirectories(fetch->directory_ + "/layout", 0700));
  for (size_t i = 0; i < manifest.layers.size(); ++i) {
    const Descriptor& layer = manifest.layers[i];
    if (!have[i]) {
      fetch->total_bytes_ += layer.size_bytes;
      continue;
    }
    HULL_TRY(MakeHole(fetch->BlobPath(layer), layer.size_bytes));
  }
  fetch->placeholder_bytes_ = BytesIn(fetch->directory_ + "/blobs/sha256");
  RegistryFetch* self = fetch.get();
  fetch->thread_ = std::thread([self, reference = RegistryImage(resolved)] {
    self->result_ = self->FetchAll(reference);
    self->ended_ = true;
  });
  return fetch;
}

// A connection that breaks does not end a pull: as docker does, it is tried again, for the blobs
// that are still missing.
Status RegistryFetch::FetchAll(const std::string& reference) {
  constexpr int kTries = 4;
  constexpr auto kPause = std::chrono::milliseconds(50);
  constexpr int kFirstPauses = 20;  // a second, then two, then four
  for (int attempt = 1;; ++attempt) {
    Status status = SkopeoFetchBlobs(reference, directory_, options_, cancel_);
    if (status || attempt == kTries || cancel_) return status;
    const ErrorCode code = status.error().code();
    if (code != ErrorCode::kFailed && code != ErrorCode::kUnavailable) return status;
    for (int i = 0; i < kFirstPauses << (attempt - 1) && !cancel_; ++i)
      std::this_thread::sleep_for(kPause);
  }
}

RegistryFetch::~RegistryFetch() {
  cancel_ = true;
  if (thread_.joinable()) thread_.join();
}

Result<std::string> RegistryFetch::Find(const Descriptor& descriptor) {
  std::string path = BlobPath(descriptor);
  for (;;) {
    const bool ended = ended_;  // before looking: what comes last is not missed
    if (::access(path.c_str(), F_OK) == 0) return path;
    if (ended && !result_) return Fail(result_.error());
    if (ended) return Fail(ErrorCode::kCorrupt, "the registry has no blob {}", descriptor.digest);
    if (cancel_) return Fail(ErrorCode::kCancelled, "the pull was ended");
    if (options_.progress)
      options_.progress({PullProgress::Phase::kFetch, {}, done_bytes(), total_bytes_});
    constexpr auto kPause = std::chrono::milliseconds(20);
    std::this_thread::sleep_for(kPause);
  }
}

void RegistryFetch::Release(const Descriptor& descriptor) {
  // The name stays: for skopeo, should it have to begin again, the blob is there.
  const std::string path = BlobPath(descriptor);
  if (!MakeHole(path, descriptor.size_bytes)) ::unlink(path.c_str());
}

Status RegistryFetch::Finish() {
  if (thread_.joinable()) thread_.join();
  return result_;
}

uint64_t RegistryFetch::done_bytes() const {
  const uint64_t there = BytesIn(directory_ + "/blobs/sha256") + BytesIn(directory_ + "/layout");
  return std::min(total_bytes_, there - std::min(there, placeholder_bytes_));
}

}  // namespace hull::images
