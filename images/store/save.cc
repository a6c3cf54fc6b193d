// Store::Save: images as an archive that docker, podman, skopeo and containerd read.
//
// Both formats are an OCI layout in a tar, with the layers as they were before compression.
// docker's has manifest.json as well, as docker itself has written since its version 25.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "images/digest/digest.h"
#include "images/store/archive_writer.h"
#include "images/store/collect.h"
#include "images/store/layer_tar.h"
#include "images/store/manifest.h"
#include "images/store/reference.h"
#include "images/store/store.h"

namespace hull::images {
namespace {

namespace json = boost::json;

constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";

struct Saved {
  Image image;
  std::vector<std::string> names;  // full
};

std::string BlobName(std::string_view digest) {
  return fmt::format("blobs/sha256/{}", HexOf(digest));
}

json::object DescriptorOf(std::string_view type, std::string_view digest, uint64_t bytes) {
  return {{"mediaType", type}, {"digest", digest}, {"size", bytes}};
}

// "busybox" without a tag means all tags of it, as docker's save has it.
Status AddAllTags(const std::vector<Image>& images, std::string_view repository,
                  std::vector<Saved>& saved) {
  for (const Image& image : images) {
    std::vector<std::string> names;
    for (const std::string& name : image.names) {
      const Result<ImageName> parsed = ParseImageName(name);
      if (parsed && parsed->Repository() == repository) names.push_back(name);
    }
    if (!names.empty()) saved.push_back({image, std::move(names)});
  }
  return {};
}

bool HasTag(std::string_view name) {
  const size_t slash = name.rfind('/');
  return name.find_first_of(":@", slash == std::string_view::npos ? 0 : slash) !=
         std::string_view::npos;
}

Result<std::vector<Saved>> Choose(const Store& store, const std::vector<std::string>& wanted) {
  std::vector<Saved> chosen;
  for (const std::string& text : wanted) {
    const Result<ImageName> name = ParseImageName(text);
    const size_t before = chosen.size();
    if (name && !HasTag(text)) {
      HULL_ASSIGN(const std::vector<Image> images, store.List());
      HULL_TRY(AddAllTags(images, name->Repository(), chosen));
    }
    if (chosen.size() > before) continue;
    HULL_ASSIGN(Image image, store.Resolve(text));
    std::vector<std::string> names;
    // By id, an image is saved without a name.
    if (name &&
        std::find(image.names.begin(), image.names.end(), name->Full()) != image.names.end()) {
      names.push_back(name->Full());
    }
    chosen.push_back({std::move(image), std::move(names)});
  }
  // Each image once, with all names that were asked for.
  std::vector<Saved> unique;
  for (Saved& saved : chosen) {
    const auto same = std::find_if(unique.begin(), unique.end(), [&](const Saved& other) {
      return other.image.id == saved.image.id;
    });
    if (same == unique.end()) {
      unique.push_back(std::move(saved));
      continue;
    }
    for (std::string& name : saved.names) {
      if (std::find(same->names.begin(), same->names.end(), name) == same->names.end())
        same->names.push_back(std::move(name));
    }
  }
  return unique;
}

class Saver {
 public:
  Saver(const StorePaths& paths, const std::string& importer, ArchiveFormat format,
        const ArchiveWriter::Sink& sink)
      : paths_(paths), importer_(importer), format_(format), archive_(sink) {}

  Status Run(const std::vector<Saved>& images) {
    // What cannot be saved is found before anything is written.
    for (const Saved& saved : images) {
      for (const Layer& layer : saved.image.layers) {
        HULL_ASSIGN(tar_bytes_[layer.diff_id], TarBytes(paths_, layer.diff_id));
      }
    }
    HULL_TRY(archive_.AddDirectory("blobs/"));
    HULL_TRY(archive_.AddDirectory("blobs/sha256/"));
    for (const Saved& saved : images) HULL_TRY(AddImage(saved));
    HULL_TRY(archive_.AddFile(
        "index.json",
        json::serialize(json::object{{"schemaVersion", 2},
                                     {"mediaType", "application/vnd.oci.image.index.v1+json"},
                                     {"manifests", index_}})));
    if (format_ == ArchiveFormat::kDocker)
      HULL_TRY(archive_.AddFile("manifest.json", json::serialize(docker_)));
    HULL_TRY(archive_.AddFile("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
    return archive_.Finish();
  }

 private:
  Status AddBlob(std::string_view digest, std::string_view content) {
    if (!written_.insert(std::string(digest)).second) return {};
    return archive_.AddFile(BlobName(digest), content);
  }

  Status AddLayer(const std::string& diff_id) {
    if (!written_.insert(diff_id).second) return {};
    const uint64_t bytes = tar_bytes_[diff_id];
    HULL_TRY(archive_.BeginFile(BlobName(diff_id), bytes));
    HULL_TRY(WriteLayerTar(paths_, importer_, diff_id, bytes,
                           [&](std::string_view piece) { return archive_.Write(piece); }));
    return archive_.EndFile();
  }

  Status AddImage(const Saved& saved) {
    const Image& image = saved.image;
    json::array layers;
    json::array layer_names;
    for (const Layer& layer : image.layers) {
      HULL_TRY(AddLayer(layer.diff_id));
      layers.push_back(DescriptorOf("application/vnd.oci.image.layer.v1.tar", layer.diff_id,
                                    tar_bytes_[layer.diff_id]));
      layer_names.emplace_back(BlobName(layer.diff_id));
    }
    HULL_TRY(AddBlob(image.id, image.config));
    const std::string manifest = json::serialize(json::object{
        {"schemaVersion", 2},
        {"mediaType", kManifestType},
        {"config",
         DescriptorOf("application/vnd.oci.image.config.v1+json", image.id, image.config.size())},
        {"layers", std::move(layers)}});
    const std::string digest = DigestOf(manifest);
    HULL_TRY(AddBlob(digest, manifest));
    AddToIndex(saved, DescriptorOf(kManifestType, digest, manifest.size()));
    json::array tags;
    for (const std::string& name : saved.names) {
      if (name.find('@') == std::string::npos) tags.emplace_back(FamiliarName(name));
    }
    json::object entry{{"Config", BlobName(image.id)}, {"RepoTags", nullptr}};
    if (!tags.empty()) entry["RepoTags"] = std::move(tags);
    entry["Layers"] = std::move(layer_names);
    docker_.push_back(std::move(entry));
    return {};
  }

  void AddToIndex(const Saved& saved, const json::object& descriptor) {
    bool named = false;
    for (const std::string& name : saved.names) {
      const Result<ImageName> parsed = ParseImageName(name);
      if (!parsed || parsed->tag.empty()) continue;
      named = true;
      json::object entry = descriptor;
      // docker and containerd put the bare tag here; skopeo and podman, for what they call an OCI
      // archive, the whole name, by which they find one of several.
      const std::string ref_name = format_ == ArchiveFormat::kDocker ? parsed->tag : name;
      entry["annotations"] = json::object{{"io.containerd.image.name", name},
                                          {"org.opencontainers.image.ref.name", ref_name}};
      index_.push_back(std::move(entry));
    }
    if (!named) index_.push_back(descriptor);
  }

  const StorePaths& paths_;
  const std::string& importer_;
  ArchiveFormat format_;
  ArchiveWriter archive_;
  std::map<std::string, uint64_t> tar_bytes_;  // by diff id
  std::set<std::string> written_;              // digests
  json::array index_;
  json::array docker_;
};

}  // namespace

Status Store::Save(const std::vector<std::string>& names, ArchiveFormat format,
                   const std::function<Status(std::string_view)>& write) const {
  const StorePaths paths(root_);
  HULL_ASSIGN(std::vector<Saved> images, Choose(*this, names));
  // The layers are kept while they are read; in a store that cannot be written they stay anyway.
  std::optional<ScratchDirectory> scratch;
  if (Result<ScratchDirectory> made = ScratchDirectory::Make(paths.Scratch())) {
    scratch.emplace(*std::move(made));
    HULL_ASSIGN(const FileLock lock, LockStore(paths));
    for (const Saved& saved : images) {
      std::vector<std::string> diff_ids;
      for (const Layer& layer : saved.image.layers) diff_ids.push_back(layer.diff_id);
      HULL_TRY(PinLayers(*scratch, diff_ids));
    }
  }
  return Saver(paths, importer_, format, write).Run(images);
}

}  // namespace hull::images
