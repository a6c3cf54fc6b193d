#include "images/store/docker_archive.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "images/digest/digest.h"
#include "images/store/reference.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

namespace hull::images {
namespace {

namespace json = boost::json;

constexpr size_t kImages = 1'000;

bool IsCompressed(std::string_view start) {
  return start.starts_with("\x1f\x8b") || start.starts_with("\x28\xb5\x2f\xfd") ||
         start.starts_with(
             "\xfd"
             "7zX") ||
         start.starts_with("BZh");
}

// Of a file that hull itself has unpacked.
Result<Descriptor> DescribeLayer(const std::string& path, const std::string& diff_id) {
  HULL_ASSIGN(const UniqueFd fd, OpenFile(path, O_RDONLY | O_NOFOLLOW));
  Descriptor descriptor;
  HULL_ASSIGN(descriptor.size_bytes, FileSizeBytes(fd.get(), path));
  descriptor.media_type = "application/vnd.docker.image.rootfs.diff.tar";
  descriptor.digest = diff_id;
  constexpr size_t kBufferBytes = size_t{256} << 10;
  std::vector<char> buffer(kBufferBytes);
  ssize_t count = ::pread(fd.get(), buffer.data(), 4, 0);
  if (count < 0) return FailErrno("read {}", path);
  if (!IsCompressed({buffer.data(), static_cast<size_t>(count)})) return descriptor;
  Sha256 hash;
  while ((count = ::read(fd.get(), buffer.data(), buffer.size())) > 0)
    hash.Update(std::string_view(buffer.data(), static_cast<size_t>(count)));
  if (count < 0) return FailErrno("read {}", path);
  descriptor.media_type += ".gzip";
  descriptor.digest = hash.Finish();
  return descriptor;
}

json::object ToJson(const Descriptor& descriptor) {
  return {{"mediaType", descriptor.media_type},
          {"size", descriptor.size_bytes},
          {"digest", descriptor.digest}};
}

// The one that `tag` names, or the first.
Result<const DockerArchiveImage*> ChooseImage(const std::vector<DockerArchiveImage>& images,
                                              const std::string& tag) {
  if (images.empty()) return Fail(ErrorCode::kNotFound, "the archive has no images");
  if (tag.empty()) return &images.front();
  HULL_ASSIGN(const ImageName wanted, ParseImageName(tag));
  std::string there;
  for (const DockerArchiveImage& image : images) {
    for (const std::string& text : image.names) {
      const Result<ImageName> name = ParseImageName(text);
      if (name && name->Full() == wanted.Full()) return &image;
      there += (there.empty() ? "" : ", ") + EscapeControl(text);
    }
  }
  return Fail(ErrorCode::kNotFound, "the archive has no image \"{}\"{}{}", EscapeControl(tag),
              there.empty() ? "" : ", only ", there);
}

Status PlaceBlob(const std::string& directory, const std::string& digest,
                 const std::string& content) {
  const std::string path = fmt::format("{}/blobs/sha256/{}", directory, HexOf(digest));
  HULL_ASSIGN(const UniqueFd fd, OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  return WriteAll(fd.get(), content);
}

Result<ResolvedSource> DockerArchiveAsLayout(const SplitArchiveFiles& files, const Source& source,
                                             const std::string& directory,
                                             const PullOptions& options) {
  HULL_ASSIGN(const std::vector<DockerArchiveImage> images, ListDockerArchive(files, options));
  HULL_ASSIGN(const DockerArchiveImage* const chosen, ChooseImage(images, source.tag));
  HULL_ASSIGN(DockerImage image, ReadDockerImage(files, *chosen, options));
  for (const auto& [digest, path] : image.layer_paths) {
    const std::string blob = fmt::format("{}/blobs/sha256/{}", directory, HexOf(digest));
    if (path != blob && ::rename(path.c_str(), blob.c_str()) != 0)
      return FailErrno("unpack the archive");
  }
  HULL_TRY(PlaceBlob(directory, DigestOf(image.config), image.config));
  ResolvedSource resolved;
  resolved.source.kind = Source::Kind::kOciLayout;
  resolved.source.path = directory;
  if (!source.tag.empty()) {
    HULL_ASSIGN(const ImageName name, ParseImageName(source.tag));
    resolved.name = name.Full();
  } else if (!image.names.empty()) {
    resolved.name = image.names.front();
  }
  resolved.digest = DigestOf(image.manifest);
  resolved.manifest_text = std::move(image.manifest);
  return resolved;
}

}  // namespace

Result<std::vector<DockerArchiveImage>> ListDockerArchive(const SplitArchiveFiles& files,
                                                          const PullOptions& options) {
  HULL_ASSIGN(const std::string text,
              ReadFile(files.Path("manifest.json"), options.limits.manifest_bytes));
  return ParseDockerArchive(text, kImages, options.limits.layers);
}

Result<DockerImage> ReadDockerImage(const SplitArchiveFiles& files, const DockerArchiveImage& image,
                                    const PullOptions& options) {
  const auto find = [&](const std::string& name) -> Result<std::string> {
    std::string path = files.Path(name);
    if (path.empty())
      return Fail(ErrorCode::kCorrupt, "the archive has no file \"{}\"", EscapeControl(name));
    return path;
  };
  DockerImage read;
  HULL_ASSIGN(const std::string config_path, find(image.config));
  HULL_ASSIGN(read.config, ReadFile(config_path, options.limits.config_bytes));
  HULL_ASSIGN(const ConfigSummary summary,
              ParseConfig(read.config, {options.os, options.architecture, options.variant}));
  if (summary.diff_ids.size() != image.layers.size()) {
    return Fail(ErrorCode::kCorrupt, "the archive has {} layers, the image configuration {}",
                image.layers.size(), summary.diff_ids.size());
  }
  json::array layers;
  for (size_t i = 0; i < image.layers.size(); ++i) {
    HULL_ASSIGN(const std::string path, find(image.layers[i]));
    HULL_ASSIGN(const Descriptor layer, DescribeLayer(path, summary.diff_ids[i]));
    layers.push_back(ToJson(layer));
    read.layer_paths.emplace(layer.digest, path);
  }
  const Descriptor config = {"application/vnd.docker.container.image.v1+json",
                             DigestOf(read.config),
                             read.config.size(),
                             {},
                             {}};
  read.manifest = json::serialize(
      json::object{{"schemaVersion", 2},
                   {"mediaType", "application/vnd.docker.distribution.manifest.v2+json"},
                   {"config", ToJson(config)},
                   {"layers", std::move(layers)}});
  for (const std::string& text : image.names) {
    HULL_ASSIGN_WITHIN("the archive's manifest.json", const ImageName name, ParseImageName(text));
    read.names.push_back(name.Full());
  }
  return read;
}

Result<ResolvedSource> ResolveArchiveHere(const Source& source, const std::string& importer,
                                          const PullOptions& options, const std::string& scratch) {
  HULL_ASSIGN(const UniqueFd fd, OpenFile(source.path, O_RDONLY));
  const std::string directory = scratch + "/archive";
  HULL_TRY(MakeDirectories(directory, 0700));
  HULL_ASSIGN(const SplitArchiveFiles files,
              SplitArchiveFiles::Read(fd.get(), importer, directory, options));
  if (source.kind == Source::Kind::kDockerArchive) {
    if (files.Has("manifest.json")) return DockerArchiveAsLayout(files, source, directory, options);
    return Fail(ErrorCode::kCorrupt, "it is no archive of docker's: it has no manifest.json{}",
                files.Has("oci-layout") ? ", but an OCI layout" : "");
  }
  if (!files.Has("oci-layout") || !files.Has("index.json")) {
    return Fail(ErrorCode::kCorrupt, "it is no OCI archive: it has no oci-layout or index.json{}",
                files.Has("manifest.json") ? ", but docker's manifest.json" : "");
  }
  Source layout = source;
  layout.kind = Source::Kind::kOciLayout;
  layout.path = directory;
  HULL_ASSIGN(ResolvedSource resolved, ResolveSource(layout, options, scratch));
  const bool is_whole_name = source.tag.find_first_of("/:") != std::string::npos;
  if (resolved.name.empty() && is_whole_name && !IsDigest(source.tag)) {
    if (const Result<ImageName> name = ParseImageName(source.tag)) resolved.name = name->Full();
  }
  return resolved;
}

}  // namespace hull::images
