// An image as it stands in a store, written by hand: for tests that need one and never look into
// its layer.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "images/store/records.h"

namespace hull::images::testing {

struct OneLayerImage {
  std::string id;
  std::string layer;
  std::string manifest;
};

// "test:latest", whose digests are made of `digit` and the two behind it. `command`: JSON, an array
// of strings. What the store's names were before is gone.
inline OneLayerImage WriteOneLayerImage(const StorePaths& paths, char digit,
                                        std::string_view command) {
  const auto digest = [](int c) { return "sha256:" + std::string(64, static_cast<char>(c)); };
  OneLayerImage image{digest(digit), digest(digit + 1), digest(digit + 2)};
  for (const std::string& made : {paths.Layers(), paths.Blobs(), paths.Images()}) {
    std::filesystem::create_directories(made);
  }
  std::ofstream(paths.Layer(image.layer)) << std::string(4096, 'x');
  std::ofstream(paths.Recipe(image.layer)) << "x";
  std::ofstream(paths.Blob(image.id))
      << fmt::format(R"({{"architecture":"amd64","os":"linux","config":{{"Cmd":{}}},)"
                     R"("rootfs":{{"type":"layers","diff_ids":["{}"]}}}})",
                     command, image.layer);
  std::ofstream(paths.Blob(image.manifest)) << fmt::format(
      R"({{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json",)"
      R"("digest":"{}","size":1}},"layers":[)"
      R"({{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{}","size":1}}]}})",
      image.id, image.layer);
  std::ofstream(paths.ImageFile(image.id))
      << EncodeImageRecord({image.id, image.manifest, {image.layer}, {""}});
  std::ofstream(paths.Names()) << EncodeNames(
      {{"docker.io/library/test:latest", {image.id, image.manifest}}});
  return image;
}

}  // namespace hull::images::testing
