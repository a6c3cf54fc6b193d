#include "images/store/commit.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "images/digest/digest.h"
#include "images/store/collect.h"
#include "images/store/file_lock.h"
#include "images/store/records.h"
#include "images/store/reference.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

namespace json = boost::json;

constexpr size_t kReadBytes = size_t{256} << 10;
constexpr uint64_t kMaxManifestBytes = 4 << 20;

struct Written {
  std::string digest;
  uint64_t size_bytes = 0;
};

Result<Written> DescribeFile(int fd) {
  Written written;
  Sha256 hash;
  std::string buffer(kReadBytes, '\0');
  for (;;) {
    const ssize_t got =
        ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(written.size_bytes));
    if (got < 0) return FailErrno("read the new layer");
    if (got == 0) break;
    hash.Update(std::string_view(buffer.data(), static_cast<size_t>(got)));
    written.size_bytes += static_cast<uint64_t>(got);
  }
  written.digest = hash.Finish();
  return written;
}

// OCI's words for what docker's manifests call otherwise.
std::string OciType(std::string_view type) {
  if (type.find("zstd") != std::string_view::npos) {
    return "application/vnd.oci.image.layer.v1.tar+zstd";
  }
  if (type.ends_with("gzip")) return "application/vnd.oci.image.layer.v1.tar+gzip";
  return "application/vnd.oci.image.layer.v1.tar";
}

Result<json::array> BaseLayers(const StorePaths& paths, const Image& base) {
  HULL_ASSIGN(const std::string text,
              ReadFile(paths.Blob(base.manifest_digest), kMaxManifestBytes));
  json::error_code failed;
  json::value manifest = json::parse(text, failed);
  json::value* layers = failed ? nullptr : manifest.find_pointer("/layers", failed);
  if (layers == nullptr || !layers->is_array()) {
    return Fail(ErrorCode::kCorrupt, "the manifest of image {} is damaged", base.id);
  }
  json::array result;
  for (const json::value& layer : layers->get_array()) {
    if (!layer.is_object()) return Fail(ErrorCode::kCorrupt, "the manifest is damaged");
    json::object entry = layer.get_object();
    const json::value* type = entry.if_contains("mediaType");
    entry["mediaType"] =
        OciType(type != nullptr && type->is_string() ? std::string_view(type->get_string()) : "");
    result.push_back(std::move(entry));
  }
  return result;
}

json::object& ObjectAt(json::object& parent, std::string_view key) {
  json::value& value = parent[key];
  if (!value.is_object()) value.emplace_object();
  return value.get_object();
}

json::array& ArrayAt(json::object& parent, std::string_view key) {
  json::value& value = parent[key];
  if (!value.is_array()) value.emplace_array();
  return value.get_array();
}

class Layout {
 public:
  explicit Layout(std::string directory) : directory_(std::move(directory)) {}

  std::string BlobPath(std::string_view digest) const {
    return fmt::format("{}/blobs/sha256/{}", directory_, HexOf(digest));
  }
  Result<json::object> AddBlob(const std::string& text, std::string_view type) const {
    const std::string digest = DigestOf(text);
    HULL_TRY(Write(BlobPath(digest), text));
    return json::object{{"mediaType", type}, {"digest", digest}, {"size", text.size()}};
  }
  Status Finish(json::object manifest, const std::string& full_name) const {
    if (!full_name.empty()) {
      manifest["annotations"] = json::object{{"io.containerd.image.name", full_name}};
    }
    const json::object index{{"schemaVersion", 2}, {"manifests", json::array{std::move(manifest)}}};
    HULL_TRY(Write(directory_ + "/index.json", json::serialize(index)));
    return Write(directory_ + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  }

 private:
  static Status Write(const std::string& path, std::string_view text) {
    HULL_ASSIGN(const UniqueFd fd, OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC, 0600));
    return WriteAll(fd.get(), text);
  }

  std::string directory_;
};

Result<Written> WriteLayer(const Layout& layout, const std::string& scratch,
                           const CommitRequest& request) {
  const std::string path = scratch + "/layer";
  HULL_ASSIGN(const UniqueFd fd, OpenFile(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  HULL_TRY(request.write_layer(fd.get()));
  HULL_ASSIGN(Written written, DescribeFile(fd.get()));
  const std::string blob = layout.BlobPath(written.digest);
  if (::rename(path.c_str(), blob.c_str()) != 0) return FailErrno("place the new layer");
  return written;
}

}  // namespace

Result<std::string> CommitImage(Store& store, const std::string& root, CommitRequest request) {
  const StorePaths paths(root + "/images");
  std::string full_name;
  if (!request.name.empty()) {
    HULL_ASSIGN(const ImageName name, ParseImageName(request.name));
    full_name = name.Full();
  }
  HULL_TRY(MakeStore(paths));
  HULL_ASSIGN(const ScratchDirectory scratch, ScratchDirectory::Make(paths.Scratch()));
  const std::string directory = scratch.path() + "/layout";
  HULL_TRY(MakeDirectories(directory + "/blobs/sha256", 0700));
  const Layout layout(directory);

  HULL_ASSIGN(const Written layer, WriteLayer(layout, scratch.path(), request));
  HULL_ASSIGN(json::array layers, BaseLayers(paths, request.base));
  layers.push_back(json::object{
      {"mediaType", OciType("")}, {"digest", layer.digest}, {"size", layer.size_bytes}});
  json::object& config = request.config;
  ArrayAt(ObjectAt(config, "rootfs"), "diff_ids").emplace_back(layer.digest);
  json::object entry{{"created_by", request.created_by}};
  if (const json::value* created = config.if_contains("created")) entry["created"] = *created;
  if (const json::value* author = config.if_contains("author")) entry["author"] = *author;
  if (!request.comment.empty()) entry["comment"] = request.comment;
  ArrayAt(config, "history").push_back(std::move(entry));

  HULL_ASSIGN(json::object config_blob,
              layout.AddBlob(json::serialize(config), "application/vnd.oci.image.config.v1+json"));
  const json::object manifest{{"schemaVersion", 2},
                              {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                              {"config", std::move(config_blob)},
                              {"layers", std::move(layers)}};
  HULL_ASSIGN(
      json::object manifest_blob,
      layout.AddBlob(json::serialize(manifest), "application/vnd.oci.image.manifest.v1+json"));
  HULL_TRY(layout.Finish(std::move(manifest_blob), full_name));
  HULL_ASSIGN(const UniqueFd opened, OpenFile(directory, O_RDONLY | O_DIRECTORY));
  HULL_ASSIGN(const std::vector<Loaded> loaded, store.Load(opened.get(), PullOptions()));
  if (loaded.size() != 1) return Fail(ErrorCode::kFailed, "no image came of the commit");
  return loaded.front().id;
}

}  // namespace hull::images
