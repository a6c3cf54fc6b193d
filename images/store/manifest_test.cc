#include "images/store/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hull::images {
namespace {

using ::testing::HasSubstr;

constexpr char kDigest[] =
    "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

std::string Descriptor(std::string_view type, std::string_view more = "") {
  return fmt::format(R"({{"mediaType":"{}","digest":"{}","size":7{}}})", type, kDigest, more);
}

std::string ManifestText(std::string_view config_type, std::string_view layer_type) {
  return fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[{}]}})", Descriptor(config_type),
                     Descriptor(layer_type));
}

constexpr char kOciConfig[] = "application/vnd.oci.image.config.v1+json";
constexpr char kOciLayer[] = "application/vnd.oci.image.layer.v1.tar+gzip";

template <typename T>
std::string ErrorOf(const Result<T>& result, ErrorCode code) {
  if (result) return "no error";
  EXPECT_EQ(result.error().code(), code) << result.error().ToString();
  return result.error().ToString();
}

TEST(Manifest, OciAndDockerFormsAreRead) {
  for (const auto& [config, layer] :
       {std::pair(kOciConfig, kOciLayer),
        std::pair("application/vnd.docker.container.image.v1+json",
                  "application/vnd.docker.image.rootfs.diff.tar.gzip")}) {
    const Result<Manifest> manifest = ParseManifest(ManifestText(config, layer), 10);
    ASSERT_TRUE(manifest) << manifest.error().ToString();
    EXPECT_EQ(manifest->config.digest, kDigest);
    ASSERT_EQ(manifest->layers.size(), 1U);
    EXPECT_EQ(manifest->layers[0].size_bytes, 7U);
  }
}

TEST(Manifest, WhatIsNoImageIsRefusedByName) {
  EXPECT_THAT(ErrorOf(ParseManifest(
                          ManifestText("application/vnd.cncf.helm.config.v1+json", kOciLayer), 10),
                      ErrorCode::kUnsupported),
              HasSubstr("helm"));
  EXPECT_THAT(
      ErrorOf(ParseManifest(
                  ManifestText(kOciConfig, "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
                  10),
              ErrorCode::kUnsupported),
      HasSubstr("+encrypted"));
  EXPECT_THAT(
      ErrorOf(KindOfDocument(R"({"schemaVersion":1,"fsLayers":[]})"), ErrorCode::kUnsupported),
      HasSubstr("schema 1"));
}

TEST(Manifest, AmbiguousDocumentIsRefused) {
  const std::string text =
      fmt::format(R"({{"manifests":[],"config":{},"layers":[]}})", Descriptor(kOciConfig));
  ErrorOf(KindOfDocument(text), ErrorCode::kCorrupt);
  EXPECT_FALSE(KindOfDocument(text));
}

TEST(Manifest, DamagedDocumentsAreRefused) {
  for (const char* text :
       {"", "[]", "{", "null", R"({"config":3,"layers":[]})", R"({"layers":[]})",
        R"({"config":{"mediaType":"x","digest":"sha256:../../etc/passwd","size":1},"layers":[]})",
        R"({"config":{"mediaType":"x","digest":5,"size":1},"layers":[]})"}) {
    const Result<Manifest> manifest = ParseManifest(text, 10);
    ASSERT_FALSE(manifest) << text;
    EXPECT_EQ(manifest.error().code(), ErrorCode::kCorrupt) << text;
  }
  std::string negative = ManifestText(kOciConfig, kOciLayer);
  negative.replace(negative.find(":7"), 2, ":-7");
  ErrorOf(ParseManifest(negative, 10), ErrorCode::kCorrupt);
  EXPECT_FALSE(ParseManifest(std::string(100'000, '['), 10));
}

TEST(Manifest, TooManyLayersAreRefused) {
  EXPECT_THAT(ErrorOf(ParseManifest(ManifestText(kOciConfig, kOciLayer), 0), ErrorCode::kExhausted),
              HasSubstr("1 layers"));
}

TEST(Index, PlatformIsChosenOrWhatIsThereIsNamed) {
  constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";
  const std::string text = fmt::format(
      R"({{"manifests":[{},{},{}]}})",
      Descriptor(kManifestType,
                 R"(,"platform":{"os":"linux","architecture":"arm64","variant":"v8"})"),
      Descriptor(kManifestType,
                 R"(,"platform":{"os":"linux","architecture":"amd64"},"annotations":{"a":"b"})"),
      Descriptor(kManifestType, R"(,"platform":{"os":"unknown","architecture":"unknown"})"));
  const Result<Index> index = ParseIndex(text);
  ASSERT_TRUE(index) << index.error().ToString();
  const Result<hull::images::Descriptor> chosen = ChoosePlatform(*index, {"linux", "amd64", ""});
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->annotations.at("a"), "b");
  EXPECT_TRUE(ChoosePlatform(*index, {"linux", "arm64", "v8"}));
  EXPECT_FALSE(ChoosePlatform(*index, {"linux", "arm64", "v7"}));
  EXPECT_THAT(ErrorOf(ChoosePlatform(*index, {"linux", "s390x", ""}), ErrorCode::kNotFound),
              HasSubstr("linux/arm64/v8, linux/amd64"));
}

std::string ChosenOf(const std::vector<std::string>& platforms, const Platform& wanted) {
  Index index;
  for (const std::string& platform : platforms) {
    hull::images::Descriptor descriptor;
    descriptor.media_type = "application/vnd.oci.image.manifest.v1+json";
    descriptor.annotations["platform"] = platform;
    const size_t first = platform.find('/');
    const size_t second = platform.find('/', first + 1);
    if (first != std::string::npos) {
      descriptor.platform.os = platform.substr(0, first);
      descriptor.platform.architecture = platform.substr(first + 1, second - first - 1);
      if (second != std::string::npos) descriptor.platform.variant = platform.substr(second + 1);
    }
    index.manifests.push_back(std::move(descriptor));
  }
  const Result<hull::images::Descriptor> chosen = ChoosePlatform(index, wanted);
  return chosen ? chosen->annotations.at("platform") : "none";
}

TEST(Index, VariantThatFitsBestIsChosen) {
  const std::vector<std::string> amd64 = {"linux/amd64/v3", "linux/amd64/v2", "linux/amd64"};
  EXPECT_EQ(ChosenOf(amd64, {"linux", "amd64", ""}), "linux/amd64");
  EXPECT_EQ(ChosenOf(amd64, {"linux", "amd64", "v2"}), "linux/amd64/v2");
  EXPECT_EQ(ChosenOf(amd64, {"linux", "amd64", "v4"}), "linux/amd64/v3");
  EXPECT_EQ(ChosenOf({"linux/amd64/v1"}, {"linux", "amd64", ""}), "linux/amd64/v1");
  const std::vector<std::string> arm = {"linux/arm/v5", "linux/arm/v7", "linux/arm64/v8"};
  EXPECT_EQ(ChosenOf(arm, {"linux", "arm", ""}), "linux/arm/v7");
  EXPECT_EQ(ChosenOf(arm, {"linux", "arm", "v6"}), "linux/arm/v5");
  EXPECT_EQ(ChosenOf(arm, {"linux", "arm64", ""}), "linux/arm64/v8");
  EXPECT_EQ(ChosenOf({"linux/arm64"}, {"linux", "arm64", "v8"}), "linux/arm64");
  EXPECT_EQ(ChosenOf({"linux/arm/v7"}, {"linux", "arm", "v6"}), "none");
  EXPECT_EQ(ChosenOf({"linux/x86_64"}, {"linux", "amd64", ""}), "linux/x86_64");
}

TEST(Index, ManifestThatDoesNotSayItsPlatformIsTakenLast) {
  EXPECT_EQ(ChosenOf({"", "linux/amd64"}, {"linux", "amd64", ""}), "linux/amd64");
  EXPECT_EQ(ChosenOf({"unknown/unknown", ""}, {"linux", "amd64", ""}), "");
  EXPECT_EQ(ChosenOf({"unknown/unknown", "linux/arm64"}, {"linux", "amd64", ""}), "none");
}

TEST(Config, DiffIdsAreRead) {
  const std::string text = fmt::format(
      R"({{"created":"2023-01-01T00:00:00Z","os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["{}"]}}}})",
      kDigest);
  const Result<ConfigSummary> config = ParseConfig(text, {"linux", "amd64", ""});
  ASSERT_TRUE(config) << config.error().ToString();
  EXPECT_EQ(config->created, "2023-01-01T00:00:00Z");
  EXPECT_THAT(config->diff_ids, ::testing::ElementsAre(kDigest));
  EXPECT_THAT(ErrorOf(ParseConfig(text, {"linux", "arm64", ""}), ErrorCode::kUnsupported),
              HasSubstr("for linux/amd64, not for linux/arm64"));
}

TEST(Config, DiffIdThatCouldBeAPathIsRefused) {
  ErrorOf(ParseConfig(R"({"rootfs":{"diff_ids":["sha256:../../x"]}})", {"linux", "amd64", ""}),
          ErrorCode::kCorrupt);
  EXPECT_FALSE(
      ParseConfig(R"({"rootfs":{"diff_ids":["sha256:../../x"]}})", {"linux", "amd64", ""}));
  EXPECT_FALSE(ParseConfig(R"({"os":"linux"})", {"linux", "amd64", ""}));
}

}  // namespace
}  // namespace hull::images
