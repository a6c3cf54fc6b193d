// What a registry says of an image: index, manifest, configuration; and the names that users and
// layouts give.
#include <cstdint>
#include <string_view>

#include "images/digest/digest.h"
#include "images/store/manifest.h"
#include "images/store/policy.h"
#include "images/store/reference.h"
#include "vmm/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hull::images;
  // SAFETY: bytes seen as characters; the view ends where the input does.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  constexpr uint32_t kLayers = 100;
  if (const auto manifest = ParseManifest(text, kLayers)) {
    HULL_CHECK(manifest->layers.size() <= kLayers && IsDigest(manifest->config.digest));
    for (const Descriptor& layer : manifest->layers) HULL_CHECK(IsDigest(layer.digest));
  }
  if (const auto index = ParseIndex(text)) {
    for (const Descriptor& manifest : index->manifests) HULL_CHECK(IsDigest(manifest.digest));
    static_cast<void>(ChoosePlatform(*index, {"linux", "amd64", ""}).has_value());
  }
  if (const auto config = ParseConfig(text, {"linux", "amd64", ""})) {
    for (const std::string& diff_id : config->diff_ids) HULL_CHECK(IsDigest(diff_id));
  }
  static_cast<void>(KindOfDocument(text).has_value());
  if (const auto images = ParseDockerArchive(text, 10, kLayers)) {
    HULL_CHECK(images->size() <= 10);
    for (const DockerArchiveImage& image : *images) HULL_CHECK(image.layers.size() <= kLayers);
  }
  static_cast<void>(AcceptsAnything(text));
  if (const auto name = ParseImageName(text)) {
    const auto again = ParseImageName(name->Full());
    HULL_CHECK(again && again->Full() == name->Full());
    // What is shown means the same image again.
    const auto familiar = ParseImageName(FamiliarName(name->Full()));
    HULL_CHECK(familiar && familiar->Full() == name->Full());
  }
  static_cast<void>(ParseSource(text).has_value());
  return 0;
}
