// Hard links of a layer to files that only layers below have, through the whole store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "images/import/testing/erofs_reader.h"
#include "images/import/testing/tar_builder.h"
#include "images/store/testing/store_fixture.h"

namespace hull::images {
namespace {

namespace fs = std::filesystem;
using testing::ErofsFile;
using ::testing::HasSubstr;
using testing::LayoutMaker;
using testing::Named;
using testing::ReadErofs;
using testing::TarBuilder;
using testing::TarEntry;

class LowerLinksTest : public testing::StoreTest {
 protected:
  // The layers' files of an image of these tars, lowest first; empty, and `error_`, if it is none.
  std::vector<std::map<std::string, ErofsFile>> Pull(const std::vector<std::string>& tars) {
    LayoutMaker layout(directory_ / "layout");
    const auto made = layout.AddImage(tars, Named("s/x:1"));
    layout.Finish({made.manifest});
    std::vector<std::map<std::string, ErofsFile>> layers;
    image_ = store_.Pull("oci:" + layout.path() + ":s/x:1", {});
    if (!image_) return layers;
    for (const auto& layer : image_->layers) {
      layers.push_back(ReadErofs(*ReadFile(layer.path, uint64_t{1} << 24)));
    }
    return layers;
  }
  std::string Error() const { return image_ ? "none" : image_.error().ToString(); }

  Result<Image> image_ = Fail(ErrorCode::kFailed, "not pulled");
};

// A file with all that one can have.
TarEntry Rich(const std::string& path, std::string content) {
  return {.path = path,
          .mode = 0104750,
          .content = std::move(content),
          .uid = 12,
          .gid = 34,
          .mtime_s = 1'600'000'000,
          .mtime_ns = 123'456'789,
          .xattrs = {{"user.name", "value"},
                     {"security.capability",
                      std::string("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)}}};
}

TEST_F(LowerLinksTest, BothNamesAreOneFileInTheUpperLayer) {
  std::string content(300'000, 'x');
  content.replace(100'000, 100'000, 100'000, '\0');
  TarBuilder base;
  base.Add({.path = "d", .mode = 0040711, .uid = 5, .mtime_s = 77})
      .Add(Rich("d/f", content))
      .Link("d/l", "f");
  TarBuilder between;
  between.File("other");
  TarBuilder top;
  top.HardLink("e/g", "d/f").HardLink("e/h", "./d/f").HardLink("k", "d/l").File("own");
  const auto layers = Pull({base.Finish(), between.Finish(), top.Finish()});
  ASSERT_EQ(layers.size(), 3u) << Error();
  const ErofsFile& below = layers[0].at("d/f");
  const ErofsFile& linked = layers[2].at("e/g");
  EXPECT_EQ(linked.nid, layers[2].at("d/f").nid);
  EXPECT_EQ(linked.nid, layers[2].at("e/h").nid);
  EXPECT_EQ(linked.links, 3u);
  EXPECT_EQ(linked.content, content);
  EXPECT_EQ(linked.mode, 0104750u);
  EXPECT_EQ(linked.uid, 12u);
  EXPECT_EQ(linked.gid, 34u);
  EXPECT_EQ(linked.mtime_s, 1'600'000'000);
  EXPECT_EQ(linked.mtime_ns, 123'456'789u);
  EXPECT_EQ(linked.xattrs, below.xattrs);
  EXPECT_EQ(linked.xattrs.size(), 2u);
  EXPECT_EQ(layers[2].at("k").content, "f");
  EXPECT_EQ(layers[2].at("k").nid, layers[2].at("d/l").nid);
  // A directory that came along is as below.
  EXPECT_EQ(layers[2].at("d").mode, 0040711u);
  EXPECT_EQ(layers[2].at("d").uid, 5u);
  EXPECT_EQ(layers[2].at("d").mtime_s, 77);
  EXPECT_EQ(layers[2].at("own").content, "x");
}

TEST_F(LowerLinksTest, TheHighestLayerBelowCounts) {
  TarBuilder base;
  base.File("f", "old").File("gone").File("d/f", "hidden");
  TarBuilder between;
  between.File("f", "new").File(".wh.gone", "").File("d/.wh..wh..opq", "");
  TarBuilder top;
  top.HardLink("g", "f");
  TarBuilder above;
  above.HardLink("h", "g");
  const auto layers = Pull({base.Finish(), between.Finish(), top.Finish(), above.Finish()});
  ASSERT_EQ(layers.size(), 4u) << Error();
  EXPECT_EQ(layers[2].at("g").content, "new");
  EXPECT_EQ(layers[3].at("h").content, "new");
  EXPECT_EQ(layers[3].at("h").nid, layers[3].at("g").nid);
}

TEST_F(LowerLinksTest, WhatIsInNoLayerIsRefusedAndLeavesTheStoreAsItWas) {
  store_.SetInUseReader([]() -> Result<InUse> { return InUse(); });
  const auto before = Snapshot();
  for (const char* target : {"nowhere", "gone", "d/f", "d"}) {
    TarBuilder base;
    base.File("gone").File("d/f", "hidden");
    TarBuilder between;
    between.File(".wh.gone", "").File("d/.wh..wh..opq", "");
    TarBuilder top;
    top.HardLink("g", target);
    EXPECT_TRUE(Pull({base.Finish(), between.Finish(), top.Finish()}).empty());
    EXPECT_THAT(Error(), HasSubstr(fmt::format("a hard link to \"{}\", which is no file", target)));
    EXPECT_TRUE(Snapshot() == before) << target;
    fs::remove_all(directory_ / "layout");
  }
  TarBuilder alone;
  alone.HardLink("g", "f");
  EXPECT_TRUE(Pull({alone.Finish()}).empty());
  EXPECT_THAT(Error(), HasSubstr("a hard link to \"f\", which is no file"));
}

TEST_F(LowerLinksTest, PathsGoThroughSymbolicLinksOfLayersBelow) {
  TarBuilder base;
  base.Directory("usr")
      .Directory("usr/lib", 0711)
      .File("usr/lib/libc")
      .File("usr/lib/libm", "m")
      .Link("lib", "usr/lib")
      .Link("lib64", "/lib");
  TarBuilder between;
  between.File("lib-other");
  TarBuilder top;
  top.File("lib/x86/libz", "z")
      .File("lib64/ld", "ld")
      .File("lib/.wh.libc", "")
      .File("lib-other/x")
      .HardLink("copy", "lib64/libm");
  const std::string tar = top.Finish();
  const auto layers = Pull({base.Finish(), between.Finish(), tar});
  ASSERT_EQ(layers.size(), 3u) << Error();
  const auto& files = layers[2];
  EXPECT_EQ(files.at("usr/lib/x86/libz").content, "z");
  EXPECT_EQ(files.at("usr/lib/ld").content, "ld");
  EXPECT_EQ(files.at("usr/lib/libc").mode & S_IFMT, static_cast<uint32_t>(S_IFCHR));
  EXPECT_EQ(files.at("usr/lib").mode, 0040711u);
  EXPECT_EQ(files.at("lib").content, "usr/lib") << "as below";
  EXPECT_EQ(files.at("copy").content, "m");
  EXPECT_EQ(files.at("copy").nid, files.at("usr/lib/libm").nid);
  EXPECT_EQ(image_->layers[2].diff_id, DigestOf(tar));
}

TEST_F(LowerLinksTest, DirectoryOfTheLayerItselfReplacesALinkBelow) {
  TarBuilder base;
  base.Directory("real").Link("link", "real").Link("out", "../../..").Link("loop", "loop");
  TarBuilder top;
  top.Directory("link").File("link/x").File("out/x").File("loop/x");
  const auto layers = Pull({base.Finish(), top.Finish()});
  ASSERT_EQ(layers.size(), 2u) << Error();
  EXPECT_EQ(layers[1].at("link/x").content, "x");
  EXPECT_FALSE(layers[1].contains("real"));
  EXPECT_EQ(layers[1].at("out/x").content, "x") << "it leads out: not followed";
  EXPECT_EQ(layers[1].at("loop/x").content, "x") << "it leads nowhere: not followed";
}

TEST_F(LowerLinksTest, EachImageHasItsOwn) {
  TarBuilder top;
  top.HardLink("g", "f");
  const std::string top_tar = top.Finish();
  LayoutMaker layout(directory_ / "layout");
  std::vector<std::string> manifests;
  for (const char* name : {"one", "two"}) {
    TarBuilder base;
    base.File("f", name);
    manifests.push_back(
        layout.AddImage({base.Finish(), top_tar}, Named(fmt::format("s/{}:1", name))).manifest);
  }
  layout.Finish(manifests);
  for (const char* name : {"one", "two"}) {
    const Result<Image> image = store_.Pull(fmt::format("oci:{}:s/{}:1", layout.path(), name), {});
    ASSERT_TRUE(image) << image.error().ToString();
    EXPECT_EQ(ReadErofs(*ReadFile(image->layers[1].path, 1 << 24)).at("g").content, name);
    EXPECT_FALSE(store_.Pull(fmt::format("oci:{}:s/{}:1", layout.path(), name), {})->is_new);
  }
  EXPECT_EQ(
      ReadErofs(*ReadFile(store_.Resolve("s/one:1")->layers[1].path, 1 << 24)).at("g").content,
      "one");
}

}  // namespace
}  // namespace hull::images
