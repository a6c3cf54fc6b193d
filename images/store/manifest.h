// The documents of an OCI (or docker) image: indexes, manifests and configurations, checked for
// shape. Source: OCI image-spec 1.1 (descriptor.md, image-index.md, manifest.md, config.md);
// docker's equivalents have the same fields under other media types.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace hull::images {

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;  // empty: any
};

struct Descriptor {
  std::string media_type;
  std::string digest;  // a digest: checked
  uint64_t size_bytes = 0;
  Platform platform;  // empty members: not said
  std::map<std::string, std::string> annotations;
};

// An index (OCI) or manifest list (docker).
struct Index {
  std::vector<Descriptor> manifests;
};

struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // lowest first
};

// What the store needs of an image configuration; the rest is for whoever runs the image.
struct ConfigSummary {
  std::string created;
  std::vector<std::string> diff_ids;
};

// With the names that images use: "x86_64" is "amd64", "arm64/v8" is "arm64", as docker has it.
Platform Normalised(Platform platform);

// Whether an image for `has` can be what is meant by `wanted`. One that does not say can.
bool Serves(const Platform& has, const Platform& wanted);

// Whether a descriptor's media type is that of an image or an index of images.
bool IsImageType(std::string_view media_type);

// Whether a manifest's configuration is no container's: a signature, a chart.
bool IsArtifact(std::string_view manifest);

enum class DocumentKind { kIndex, kManifest };

// Which of the two `text` is. kUnsupported for anything else (schema 1, artifacts).
Result<DocumentKind> KindOfDocument(std::string_view text);

Result<Index> ParseIndex(std::string_view text);

// kUnsupported when it is not a container image whose layers hull can read.
Result<Manifest> ParseManifest(std::string_view text, uint32_t layer_cap);

// `platform`: what the image must be for; kUnsupported when it is not.
Result<ConfigSummary> ParseConfig(std::string_view text, const Platform& platform);

// One image of a docker archive. Strings are names of files in it, and names of the image.
struct DockerArchiveImage {
  std::string config;
  std::vector<std::string> names;
  std::vector<std::string> layers;  // lowest first
};

// manifest.json of a docker archive. kExhausted when it has more images than `image_cap`, or one
// has more layers than `layer_cap`.
Result<std::vector<DockerArchiveImage>> ParseDockerArchive(std::string_view text, size_t image_cap,
                                                           uint32_t layer_cap);

// Field "created" of a configuration; empty when it does not say.
Result<std::string> CreatedOf(std::string_view config);

// The manifest that fits `platform` best; one that does not say what it is for is taken when no
// other fits. kNotFound lists what there is.
Result<Descriptor> ChoosePlatform(const Index& index, const Platform& platform);

}  // namespace hull::images
