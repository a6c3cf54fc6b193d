// How images are listed and chosen.
#include "runtime/cli/image_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

namespace hull::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int64_t kNow = 1'704'170'645;  // 2024-01-02T04:44:05Z

images::Image Sample() {
  images::Image image;
  image.id = "sha256:" + std::string(64, 'a');
  image.names = {"docker.io/library/busybox:1", "registry.example/team/tool:v2"};
  image.digests = {"sha256:" + std::string(64, '1'), "sha256:" + std::string(64, '2')};
  image.created = "2024-01-02T03:44:05Z";
  image.size_bytes = 4'300'000;
  image.config = R"({"config":{"Labels":{"tier":"front","empty":""}}})";
  return image;
}

std::string Show(const images::Image& image, std::string_view format, bool truncate = true,
                 bool digests = false) {
  const Result<std::string> text =
      FormatRows(ImageListing(digests), ImageRows(image, image.names, {kNow, truncate}), format);
  return text ? *text : text.error().ToString();
}

bool Matches(const std::vector<std::string>& filters, const images::Image& image = Sample()) {
  const images::Store store = *images::Store::Open("/nowhere");
  const Result<ImageFilters> parsed = ImageFilters::Parse(
      filters, {"dangling", "label", "label!", "reference", "before", "since", "until"}, store,
      kNow);
  EXPECT_TRUE(parsed) << parsed.error().ToString();
  return parsed && parsed->Matches(image);
}

TEST(ImageRows, TableIsDockers) {
  EXPECT_EQ(Show(Sample(), ""),
            "REPOSITORY                   TAG       IMAGE ID       CREATED             SIZE\n"
            "busybox                      1         aaaaaaaaaaaa   About an hour ago   4.3MB\n"
            "registry.example/team/tool   v2        aaaaaaaaaaaa   About an hour ago   4.3MB\n");
  images::Image nameless = Sample();
  nameless.names.clear();
  EXPECT_EQ(Show(nameless, "{{.Repository}}:{{.Tag}}@{{.Digest}}"), "<none>:<none>@<none>\n");
}

TEST(ImageRows, TemplatesAndJsonHaveDockersFields) {
  setenv("TZ", "UTC0", 1);
  EXPECT_THAT(Show(Sample(), "json"),
              HasSubstr(R"({"Containers":"N/A","CreatedAt":"2024-01-02 03:44:05 +0000 UTC",)"));
  EXPECT_EQ(Show(Sample(), "{{.ID}}", false).substr(0, 72), Sample().id + "\n");
  EXPECT_THAT(Show(Sample(), "", true, true), HasSubstr("sha256:111"));
  EXPECT_THAT(Show(Sample(), "{{.Nothing}}"), HasSubstr("Nothing"));
}

TEST(ImageRows, NameByDigestHasNoTag) {
  images::Image image = Sample();
  image.names = {"docker.io/library/busybox@" + image.digests[0]};
  EXPECT_EQ(Show(image, "{{.Repository}} {{.Tag}} {{.Digest}}"),
            "busybox <none> " + image.digests[0] + "\n");
}

TEST(ImageFilters, ByLabel) {
  EXPECT_TRUE(Matches({"label=tier"}));
  EXPECT_TRUE(Matches({"label=tier=front", "label=empty="}));
  EXPECT_FALSE(Matches({"label=tier=back"}));
  EXPECT_FALSE(Matches({"label=tier", "label=other"}));
  EXPECT_FALSE(Matches({"label!=tier"}));
  EXPECT_TRUE(Matches({"label!=other"}));
}

TEST(ImageFilters, ByNameAndAge) {
  EXPECT_TRUE(Matches({"dangling=false"}));
  EXPECT_FALSE(Matches({"dangling=true"}));
  EXPECT_TRUE(Matches({"reference=busy*"}));
  EXPECT_TRUE(Matches({"reference=busybox:1"}));
  EXPECT_TRUE(Matches({"reference=*/team/*"}));
  EXPECT_TRUE(Matches({"reference=nothing", "reference=busybox"}));
  EXPECT_FALSE(Matches({"reference=*"}, [] {
    images::Image image = Sample();
    image.names = {"registry.example/team/tool:v2"};
    return image;
  }()));
  EXPECT_TRUE(Matches({"until=30m"}));
  EXPECT_FALSE(Matches({"until=2h"}));
}

TEST(ImageFilters, OnlyWantedNamesAreListed) {
  const images::Store store = *images::Store::Open("/nowhere");
  EXPECT_THAT(
      ImageFilters::Parse({"reference=busybox"}, {"reference"}, store, kNow)->WantedNames(Sample()),
      ElementsAre("docker.io/library/busybox:1"));
}

TEST(ImageFilters, WrongOnesAreNamed) {
  const images::Store store = *images::Store::Open("/nowhere");
  for (const char* word : {"dangling", "nonsense=1", "dangling=perhaps", "before=no/such"}) {
    EXPECT_FALSE(ImageFilters::Parse({word}, {"dangling", "before"}, store, kNow)) << word;
  }
}

}  // namespace
}  // namespace hull::cli
