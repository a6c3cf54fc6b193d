#include "images/store/reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hull::images {
namespace {

constexpr char kDigest[] =
    "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

struct GoodCase {
  std::string text;
  std::string full;
  std::string familiar;
};

class GoodName : public ::testing::TestWithParam<GoodCase> {};

TEST_P(GoodName, IsNormalisedAsDockerDoes) {
  const Result<ImageName> name = ParseImageName(GetParam().text);
  ASSERT_TRUE(name) << name.error().ToString();
  EXPECT_EQ(name->Full(), GetParam().full);
  EXPECT_EQ(FamiliarName(name->Full()), GetParam().familiar);
  // A full name means itself.
  const Result<ImageName> again = ParseImageName(name->Full());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->Full(), GetParam().full);
}

INSTANTIATE_TEST_SUITE_P(
    Table, GoodName,
    ::testing::Values(
        GoodCase{"busybox", "docker.io/library/busybox:latest", "busybox:latest"},
        GoodCase{"busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"},
        GoodCase{"sample/busybox", "docker.io/sample/busybox:latest", "sample/busybox:latest"},
        GoodCase{"docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
        GoodCase{"index.docker.io/library/busybox", "docker.io/library/busybox:latest",
                 "busybox:latest"},
        GoodCase{"localhost/a", "localhost/a:latest", "localhost/a:latest"},
        GoodCase{"localhost:5000/a/b:t", "localhost:5000/a/b:t", "localhost:5000/a/b:t"},
        GoodCase{"127.0.0.1:5000/a", "127.0.0.1:5000/a:latest", "127.0.0.1:5000/a:latest"},
        GoodCase{"[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"},
        GoodCase{"quay.io/org/a/b/c", "quay.io/org/a/b/c:latest", "quay.io/org/a/b/c:latest"},
        GoodCase{"Registry/a", "Registry/a:latest", "Registry/a:latest"},
        GoodCase{"a__b/c--d.e_f", "docker.io/a__b/c--d.e_f:latest", "a__b/c--d.e_f:latest"},
        GoodCase{"x:_Tag.1-2", "docker.io/library/x:_Tag.1-2", "x:_Tag.1-2"},
        GoodCase{std::string("busybox@") + kDigest,
                 std::string("docker.io/library/busybox@") + kDigest,
                 std::string("busybox@") + kDigest},
        GoodCase{std::string("busybox:1@") + kDigest,
                 std::string("docker.io/library/busybox@") + kDigest,
                 std::string("busybox@") + kDigest},
        GoodCase{"docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest"},
        GoodCase{"docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"}));

class BadName : public ::testing::TestWithParam<std::string> {};

TEST_P(BadName, IsRefused) {
  const Result<ImageName> name = ParseImageName(GetParam());
  ASSERT_FALSE(name) << name->Full();
  EXPECT_EQ(name.error().code(), ErrorCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadName,
    ::testing::Values("", "Busybox", "a//b", "/a", "a/", "-a", "a-", "a_", "a___b", "a..b",
                      "a:", "a:-x", "a b", "a:b:c", "a@b", "a@sha256:12", "a@sha512:00",
                      "host.x:port/a", "ho_st.x/a", "-host.x/a", "[::g]/a",
                      "a:" + std::string(129, 't'), std::string(300, 'a'), "../a", "a/../b", "a\n",
                      std::string("a\0b", 3), "\xc3\xa9",
                      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"));

TEST(ParseSource, TellsPlacesApart) {
  const auto check = [](std::string_view text, Source::Kind kind, std::string_view path,
                        std::string_view tag) {
    const Result<Source> source = ParseSource(text);
    ASSERT_TRUE(source) << source.error().ToString();
    EXPECT_EQ(source->kind, kind) << text;
    EXPECT_EQ(source->path, path) << text;
    EXPECT_EQ(source->tag, tag) << text;
  };
  check("oci:dir", Source::Kind::kOciLayout, "dir", "");
  check("oci:/a/b:tag", Source::Kind::kOciLayout, "/a/b", "tag");
  check("oci:d:sample/busybox:latest", Source::Kind::kOciLayout, "d", "sample/busybox:latest");
  check("oci-archive:f.tar", Source::Kind::kOciArchive, "f.tar", "");
  check("docker-archive:f.tar:a/b:c", Source::Kind::kDockerArchive, "f.tar", "a/b:c");
  for (const char* text : {"busybox", "docker://busybox", "docker.io/library/busybox"}) {
    const Result<Source> source = ParseSource(text);
    ASSERT_TRUE(source);
    EXPECT_EQ(source->kind, Source::Kind::kRegistry);
    EXPECT_EQ(source->name.Full(), "docker.io/library/busybox:latest");
  }
  for (const char* text :
       {"oci:", "oci::tag", "oci:dir:", "oci:-x", "docker-archive:", "docker://", "docker:///a"}) {
    EXPECT_FALSE(ParseSource(text)) << text;
  }
}

}  // namespace
}  // namespace hull::images
