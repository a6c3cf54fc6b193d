#include "images/store/manifest.h"

#include <algorithm>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "images/digest/digest.h"
#include "vmm/base/escape.h"

namespace hull::images {
namespace {

namespace json = boost::json;

constexpr std::string_view kIndexTypes[] = {
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json"};
constexpr std::string_view kManifestTypes[] = {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json"};
constexpr std::string_view kConfigTypes[] = {"application/vnd.oci.image.config.v1+json",
                                             "application/vnd.docker.container.image.v1+json"};
constexpr std::string_view kLayerTypes[] = {
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"};

template <size_t N>
bool IsOneOf(std::string_view text, const std::string_view (&list)[N]) {
  return std::find(std::begin(list), std::end(list), text) != std::end(list);
}

Result<json::object> ParseObject(std::string_view text, std::string_view what) {
  boost::system::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  if (error) return Fail(ErrorCode::kCorrupt, "the {} is not JSON: {}", what, error.message());
  if (!value.is_object()) return Fail(ErrorCode::kCorrupt, "the {} is not a JSON object", what);
  return std::move(value.get_object());
}

std::string_view View(const json::string& text) {
  return {text.data(), text.size()};
}

// The string field `key`, empty when there is none.
Result<std::string> Text(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(json::string_view(key.data(), key.size()));
  if (value == nullptr || value->is_null()) return std::string();
  if (!value->is_string()) return Fail(ErrorCode::kCorrupt, "field {} is not a string", key);
  return std::string(View(value->get_string()));
}

const json::object* Object(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(json::string_view(key.data(), key.size()));
  return value == nullptr ? nullptr : value->if_object();
}

Result<const json::array*> Array(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(json::string_view(key.data(), key.size()));
  if (value == nullptr || !value->is_array())
    return Fail(ErrorCode::kCorrupt, "it has no list {}", key);
  return &value->get_array();
}

Result<Platform> ParsePlatform(const json::object& object) {
  Platform platform;
  HULL_ASSIGN(platform.os, Text(object, "os"));
  HULL_ASSIGN(platform.architecture, Text(object, "architecture"));
  HULL_ASSIGN(platform.variant, Text(object, "variant"));
  return platform;
}

Result<Descriptor> ParseDescriptor(const json::value& value) {
  const json::object* object = value.if_object();
  if (object == nullptr) return Fail(ErrorCode::kCorrupt, "a descriptor is not an object");
  Descriptor descriptor;
  HULL_ASSIGN(descriptor.media_type, Text(*object, "mediaType"));
  HULL_ASSIGN(descriptor.digest, Text(*object, "digest"));
  if (!IsDigest(descriptor.digest)) {
    return Fail(ErrorCode::kCorrupt, "\"{}\" is not a SHA-256 digest",
                EscapeControl(descriptor.digest));
  }
  const json::value* size = object->if_contains("size");
  const std::int64_t* bytes = size == nullptr ? nullptr : size->if_int64();
  if (bytes == nullptr || *bytes < 0) {
    return Fail(ErrorCode::kCorrupt, "the descriptor of {} has no size", descriptor.digest);
  }
  descriptor.size_bytes = static_cast<uint64_t>(*bytes);
  if (const json::object* platform = Object(*object, "platform"); platform != nullptr) {
    HULL_ASSIGN(descriptor.platform, ParsePlatform(*platform));
  }
  if (const json::object* annotations = Object(*object, "annotations"); annotations != nullptr) {
    for (const auto& [key, text] : *annotations) {
      if (text.is_string()) {
        descriptor.annotations.emplace(std::string_view(key.data(), key.size()),
                                       View(text.get_string()));
      }
    }
  }
  return descriptor;
}

std::string Describe(const Platform& platform) {
  std::string text = fmt::format("{}/{}", platform.os, platform.architecture);
  if (!platform.variant.empty()) text += "/" + platform.variant;
  return EscapeControl(text);
}

bool SaysNothing(const Platform& platform) {
  return platform.os.empty() && platform.architecture.empty();
}

// "v7" as 7; what is no such number as 0. Without a variant it is the one that all processors of
// the architecture are (arm: that docker takes when it is not told).
int VariantNumber(const Platform& platform) {
  if (platform.variant.empty()) {
    if (platform.architecture == "amd64") return 1;
    if (platform.architecture == "arm") return 7;
    return platform.architecture == "arm64" ? 8 : 0;
  }
  std::string_view digits = platform.variant;
  if (digits.starts_with('v')) digits.remove_prefix(1);
  return digits.size() == 1 && digits[0] > '0' && digits[0] <= '9' ? digits[0] - '0' : 0;
}

// How well something for `has` serves where `wanted` was asked for; 0: not at all. Older variants
// run on newer processors; a newer one is taken only where none was asked for and no other is.
int Fitness(const Platform& has, const Platform& wanted) {
  constexpr int kFits = 100;
  if (has.os != wanted.os || has.architecture != wanted.architecture) return 0;
  if (has.variant == wanted.variant) return 2 * kFits;
  const int number = VariantNumber(has);
  const int cap = VariantNumber(wanted);
  if (number > 0 && number <= cap) return kFits + number;
  return wanted.variant.empty() ? 1 : 0;
}

}  // namespace

Platform Normalised(Platform platform) {
  const auto lower = [](std::string& text) {
    std::transform(text.begin(), text.end(), text.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
  };
  for (std::string* text : {&platform.os, &platform.architecture, &platform.variant}) lower(*text);
  std::string& architecture = platform.architecture;
  if (platform.os == "macos") platform.os = "darwin";
  if (architecture == "x86_64" || architecture == "x86-64") architecture = "amd64";
  if (architecture == "i386" || architecture == "i686") architecture = "386";
  if (architecture == "aarch64") architecture = "arm64";
  if (architecture == "armhf" || architecture == "armel") {
    platform.variant = architecture == "armhf" ? "v7" : "v6";
    architecture = "arm";
  }
  if (platform.variant.size() == 1) platform.variant.insert(0, "v");
  const bool is_plain = (architecture == "amd64" && platform.variant == "v1") ||
                        (architecture == "arm64" && platform.variant == "v8");
  if (is_plain) platform.variant.clear();
  return platform;
}

bool Serves(const Platform& has, const Platform& wanted) {
  return SaysNothing(has) || Fitness(Normalised(has), Normalised(wanted)) > 0;
}

bool IsImageType(std::string_view media_type) {
  return IsOneOf(media_type, kManifestTypes) || IsOneOf(media_type, kIndexTypes);
}

bool IsArtifact(std::string_view manifest) {
  const Result<json::object> object = ParseObject(manifest, "manifest");
  if (!object) return false;
  const json::object* config = Object(*object, "config");
  const Result<std::string> type = config == nullptr ? std::string() : Text(*config, "mediaType");
  return type && !IsOneOf(*type, kConfigTypes);
}

Result<DocumentKind> KindOfDocument(std::string_view text) {
  HULL_ASSIGN(const json::object object, ParseObject(text, "manifest"));
  HULL_ASSIGN(const std::string type, Text(object, "mediaType"));
  const bool has_manifests = object.contains("manifests");
  const bool has_config = object.contains("config");
  // One document that can be read as both could show one image to whoever signs it and another to
  // whoever runs it.
  if (has_manifests && (has_config || object.contains("layers"))) {
    return Fail(ErrorCode::kCorrupt, "the manifest could be read as an index as well");
  }
  if (has_manifests && (type.empty() || IsOneOf(type, kIndexTypes))) return DocumentKind::kIndex;
  if (has_config && (type.empty() || IsOneOf(type, kManifestTypes))) return DocumentKind::kManifest;
  if (object.contains("fsLayers")) {
    return Fail(ErrorCode::kUnsupported,
                "docker's manifests of schema 1 are not supported: push the image anew");
  }
  return Fail(ErrorCode::kUnsupported, "media type \"{}\" is no image", EscapeControl(type));
}

Result<Index> ParseIndex(std::string_view text) {
  HULL_ASSIGN(const json::object object, ParseObject(text, "index"));
  HULL_ASSIGN_WITHIN("the index", const json::array* manifests, Array(object, "manifests"));
  Index index;
  for (const json::value& value : *manifests) {
    HULL_ASSIGN_WITHIN("the index", Descriptor descriptor, ParseDescriptor(value));
    index.manifests.push_back(std::move(descriptor));
  }
  return index;
}

Result<Manifest> ParseManifest(std::string_view text, uint32_t layer_cap) {
  HULL_ASSIGN(const json::object object, ParseObject(text, "manifest"));
  const json::value* config = object.if_contains("config");
  if (config == nullptr) return Fail(ErrorCode::kCorrupt, "the manifest has no configuration");
  Manifest manifest;
  HULL_ASSIGN_WITHIN("the manifest", manifest.config, ParseDescriptor(*config));
  if (!IsOneOf(manifest.config.media_type, kConfigTypes)) {
    return Fail(ErrorCode::kUnsupported,
                "this is not a container image: its configuration is \"{}\"",
                EscapeControl(manifest.config.media_type));
  }
  HULL_ASSIGN_WITHIN("the manifest", const json::array* layers, Array(object, "layers"));
  if (layers->size() > layer_cap) {
    return Fail(ErrorCode::kExhausted, "the image has {} layers, more than the {} allowed",
                layers->size(), layer_cap);
  }
  for (const json::value& value : *layers) {
    HULL_ASSIGN_WITHIN("the manifest", Descriptor layer, ParseDescriptor(value));
    if (!IsOneOf(layer.media_type, kLayerTypes)) {
      return Fail(ErrorCode::kUnsupported, "layer {} is \"{}\", which hull cannot read",
                  layer.digest, EscapeControl(layer.media_type));
    }
    manifest.layers.push_back(std::move(layer));
  }
  return manifest;
}

Result<ConfigSummary> ParseConfig(std::string_view text, const Platform& platform) {
  HULL_ASSIGN(const json::object object, ParseObject(text, "image configuration"));
  HULL_ASSIGN_WITHIN("the image configuration", Platform has, ParsePlatform(object));
  has = Normalised(std::move(has));
  // Images made by hand may not say; what they say must fit.
  if ((!has.os.empty() && has.os != platform.os) ||
      (!has.architecture.empty() && has.architecture != platform.architecture)) {
    return Fail(ErrorCode::kUnsupported, "the image is for {}, not for {}", Describe(has),
                Describe(platform));
  }
  ConfigSummary summary;
  HULL_ASSIGN_WITHIN("the image configuration", summary.created, Text(object, "created"));
  const json::object* rootfs = Object(object, "rootfs");
  if (rootfs == nullptr) return Fail(ErrorCode::kCorrupt, "the image configuration has no rootfs");
  HULL_ASSIGN_WITHIN("the image configuration's rootfs", const json::array* diff_ids,
                     Array(*rootfs, "diff_ids"));
  for (const json::value& value : *diff_ids) {
    const json::string* diff_id = value.if_string();
    if (diff_id == nullptr || !IsDigest(View(*diff_id))) {
      return Fail(ErrorCode::kCorrupt,
                  "a diff_id of the image configuration is not a SHA-256 digest");
    }
    summary.diff_ids.emplace_back(View(*diff_id));
  }
  return summary;
}

Result<std::vector<DockerArchiveImage>> ParseDockerArchive(std::string_view text, size_t image_cap,
                                                           uint32_t layer_cap) {
  boost::system::error_code error;
  const json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  if (error || !value.is_array())
    return Fail(ErrorCode::kCorrupt, "the archive's manifest.json is no list in JSON");
  if (value.get_array().size() > image_cap)
    return Fail(ErrorCode::kExhausted, "the archive has more than {} images", image_cap);
  const auto strings = [](const json::object& object, std::string_view key) {
    std::vector<std::string> list;
    const json::value* found = object.if_contains(json::string_view(key.data(), key.size()));
    const json::array* array = found == nullptr ? nullptr : found->if_array();
    if (array == nullptr) return list;
    for (const json::value& element : *array) {
      if (element.is_string()) list.emplace_back(View(element.get_string()));
    }
    return list;
  };
  std::vector<DockerArchiveImage> images;
  for (const json::value& element : value.get_array()) {
    const json::object* object = element.if_object();
    if (object == nullptr)
      return Fail(ErrorCode::kCorrupt, "the archive's manifest.json has an entry that is no image");
    DockerArchiveImage image;
    HULL_ASSIGN(image.config, Text(*object, "Config"));
    image.names = strings(*object, "RepoTags");
    image.layers = strings(*object, "Layers");
    if (image.layers.size() > layer_cap)
      return Fail(ErrorCode::kExhausted, "an image has more than {} layers", layer_cap);
    images.push_back(std::move(image));
  }
  return images;
}

Result<std::string> CreatedOf(std::string_view config) {
  HULL_ASSIGN(const json::object object, ParseObject(config, "image configuration"));
  return Text(object, "created");
}

Result<Descriptor> ChoosePlatform(const Index& index, const Platform& platform) {
  const Platform wanted = Normalised(platform);
  std::string there;
  const Descriptor* best = nullptr;
  int best_fitness = 0;
  for (const Descriptor& descriptor : index.manifests) {
    const Platform has = Normalised(descriptor.platform);
    const int fitness = IsImageType(descriptor.media_type) ? Fitness(has, wanted) : 0;
    if (fitness > best_fitness) {
      best = &descriptor;
      best_fitness = fitness;
    }
    if (has.os.empty() || has.os == "unknown") continue;
    if (!there.empty()) there += ", ";
    there += Describe(descriptor.platform);
  }
  if (best != nullptr) return *best;
  // One that does not say may be for anything: its configuration says it.
  for (const Descriptor& descriptor : index.manifests) {
    if (IsImageType(descriptor.media_type) && SaysNothing(descriptor.platform)) return descriptor;
  }
  return Fail(ErrorCode::kNotFound, "the image is not there for {}{}{}", Describe(platform),
              there.empty() ? "" : ", only for ", there);
}

}  // namespace hull::images
