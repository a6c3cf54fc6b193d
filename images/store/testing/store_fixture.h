// What tests of the store share: layouts in the making, and a store of their own with the real
// hull-import.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "images/digest/digest.h"
#include "images/import/testing/tar_builder.h"
#include "images/store/store.h"
#include "vmm/base/file.h"

namespace hull::images::testing {

namespace fs = std::filesystem;
inline constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";

// An OCI layout in the making. Each part can be made to lie.
class LayoutMaker {
 public:
  explicit LayoutMaker(fs::path path) : path_(std::move(path)) {
    fs::create_directories(path_ / "blobs/sha256");
    Write("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  }

  void Write(const fs::path& name, std::string_view data) {
    std::ofstream(path_ / name, std::ios::binary) << data;
  }
  fs::path BlobPath(std::string_view digest) const {
    return path_ / "blobs/sha256" / HexOf(digest);
  }

  // Returns the descriptor.
  std::string Blob(std::string_view data, std::string_view type, std::string_view more = "") {
    const std::string digest = DigestOf(data);
    std::ofstream(BlobPath(digest), std::ios::binary) << data;
    return fmt::format(R"({{"mediaType":"{}","digest":"{}","size":{}{}}})", type, digest,
                       data.size(), more);
  }

  struct Image {
    std::string manifest;  // descriptor
    std::string id;
    std::vector<std::string> blobs;  // digests
    std::vector<std::string> diff_ids;
  };

  // `diff_ids`: instead of the true ones when not empty.
  Image AddImage(const std::vector<std::string>& tars, std::string_view more = "",
                 std::vector<std::string> diff_ids = {}, std::string_view architecture = "amd64") {
    Image image;
    std::string layers;
    std::string ids;
    for (size_t i = 0; i < tars.size(); ++i) {
      const std::string blob = Gzip(tars[i]);
      image.blobs.push_back(DigestOf(blob));
      image.diff_ids.push_back(i < diff_ids.size() ? diff_ids[i] : DigestOf(tars[i]));
      const char* comma = i == 0 ? "" : ",";
      layers += comma + Blob(blob, "application/vnd.oci.image.layer.v1.tar+gzip");
      ids += fmt::format("{}\"{}\"", comma, image.diff_ids.back());
    }
    const std::string config = fmt::format(
        R"({{"created":"2024-01-02T03:04:05Z","os":"linux","architecture":"{}","config":{{"Cmd":["sh"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}})",
        architecture, ids);
    image.id = DigestOf(config);
    const std::string manifest =
        fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[{}]}})",
                    Blob(config, "application/vnd.oci.image.config.v1+json"), layers);
    image.manifest = Blob(manifest, kManifestType, more);
    return image;
  }

  void Finish(const std::vector<std::string>& descriptors) {
    std::string list;
    for (const std::string& descriptor : descriptors)
      list += (list.empty() ? "" : ",") + descriptor;
    Write("index.json", fmt::format(R"({{"schemaVersion":2,"manifests":[{}]}})", list));
  }

  std::string path() const { return path_; }

 private:
  fs::path path_;
};

inline std::string Named(std::string_view name) {
  return fmt::format(R"(,"annotations":{{"org.opencontainers.image.ref.name":"{}"}})", name);
}

// <build>/tests/unit/this test, <build>/bin/hull-import.
inline std::string Importer() {
  return fs::read_symlink("/proc/self/exe").parent_path().parent_path().parent_path() /
         "bin/hull-import";
}

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() : store_(*Store::Open(directory_ / "root", Importer())) { signal(SIGPIPE, SIG_IGN); }
  ~StoreTest() override { fs::remove_all(directory_); }

  static fs::path MakeDirectory() {
    std::string path = fs::temp_directory_path() / "hull-store-XXXXXX";
    return ::mkdtemp(path.data());
  }

  // Every file of the store and its content; locks and scratch must be empty.
  std::map<std::string, std::string> Snapshot() const {
    std::map<std::string, std::string> files;
    const fs::path root = directory_ / "root/images";
    if (!fs::exists(root)) return files;
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      if (!entry.is_regular_file()) continue;
      files[fs::relative(entry.path(), root)] = *ReadFile(entry.path(), uint64_t{1} << 30);
    }
    return files;
  }

  std::string FailToPull(std::string_view reference, ErrorCode code,
                         const PullOptions& options = {}) {
    const auto before = Snapshot();
    const Result<Image> image = store_.Pull(reference, options);
    if (image) return "no error";
    EXPECT_EQ(image.error().code(), code) << image.error().ToString();
    EXPECT_EQ(Snapshot(), before) << "the store changed";
    return image.error().ToString();
  }

  std::string Tar(std::string_view content) {
    TarBuilder tar;
    tar.File("file", std::string(content));
    return tar.Finish();
  }

  fs::path directory_ = MakeDirectory();
  Store store_;
};

}  // namespace hull::images::testing
