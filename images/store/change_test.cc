// Names given and taken, images removed: docker's rules, and what stays on the disk.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <filesystem>
#include <fstream>

#include "images/import/testing/erofs_reader.h"
#include "images/store/testing/store_fixture.h"

namespace hull::images {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::LayoutMaker;
using testing::Named;
using ::testing::SizeIs;
using testing::StoreTest;

// "-name" untagged, "!id" deleted.
std::vector<std::string> Lines(const RemovalReport& report) {
  std::vector<std::string> lines;
  for (const Removal& removal : report.removals)
    lines.push_back((removal.kind == Removal::Kind::kUntagged ? "-" : "!") + removal.what);
  return lines;
}

class ChangeTest : public StoreTest {
 protected:
  ChangeTest() : layout_(directory_ / "layout") {
    store_.SetInUseReader([this]() -> Result<InUse> { return in_use_; });
    one_ = layout_.AddImage({Tar("base"), Tar("one")}, Named("s/one:1"));
    two_ = layout_.AddImage({Tar("base"), Tar("two")}, Named("s/two:1"));
    layout_.Finish({one_.manifest, two_.manifest});
    one_digest_ = PullOne("s/one:1");
    PullOne("s/two:1");
  }

  std::string PullOne(const std::string& name) {
    const Result<Image> image = store_.Pull("oci:" + layout_.path() + ":" + name, {});
    EXPECT_TRUE(image) << image.error().ToString();
    return image ? image->digest : "";
  }

  size_t CountFiles(const char* directory) const {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator(directory_ / "root/images" / directory))
      if (entry.path().extension() != ".implicit") ++count;
    return count;
  }
  size_t CountLayers() const {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator(directory_ / "root/images/layers"))
      if (entry.path().extension() == ".erofs") ++count;
    return count;
  }
  std::vector<std::string> MustRemove(std::string_view name, bool force = false) {
    const Result<RemovalReport> report = store_.Remove(name, force);
    EXPECT_TRUE(report) << report.error().ToString();
    return report ? Lines(*report) : std::vector<std::string>();
  }
  std::string FailToRemove(std::string_view name, bool force = false) {
    const auto before = Snapshot();
    const Result<RemovalReport> report = store_.Remove(name, force);
    EXPECT_EQ(Snapshot(), before);
    return report ? "no error" : report.error().ToString();
  }
  void Use(const std::string& id, bool running) {
    in_use_.users.push_back({id, "0123456789abcdef0123456789abcdef", running});
    const Result<Image> image = store_.Resolve(id);
    ASSERT_TRUE(image);
    for (const Layer& layer : image->layers)
      in_use_.layer_files.insert(layer.path.substr(layer.path.rfind('/') + 1));
  }

  LayoutMaker layout_;
  LayoutMaker::Image one_;
  LayoutMaker::Image two_;
  std::string one_digest_;
  InUse in_use_;
};

TEST_F(ChangeTest, LastNameTakesTheImageAndTheLayersThatNobodyElseHas) {
  ASSERT_EQ(CountLayers(), 3U);
  EXPECT_THAT(MustRemove("s/one:1"), ElementsAre("-s/one:1", "-s/one@" + one_digest_, "!" + one_.id,
                                                 "!" + one_.diff_ids[1]));
  EXPECT_EQ(CountLayers(), 2U);
  EXPECT_EQ(CountFiles("blobs"), 2U);
  EXPECT_EQ(store_.Resolve(one_.id).error().code(), ErrorCode::kNotFound);
  EXPECT_TRUE(store_.Resolve("s/two:1"));
  MustRemove("s/two:1");
  EXPECT_EQ(CountLayers(), 0U);
  EXPECT_EQ(CountFiles("blobs") + CountFiles("images") + CountFiles("tmp") + CountFiles("locks"),
            0U);
  EXPECT_THAT(FailToRemove("s/two:1"), HasSubstr("No such image: s/two:1"));
}

TEST_F(ChangeTest, NameIsTakenAwayWhileThereAreOthers) {
  ASSERT_TRUE(store_.Tag("s/one:1", "other/name"));
  EXPECT_EQ(store_.Resolve("other/name:latest")->id, one_.id);
  EXPECT_THAT(MustRemove("s/one:1"), ElementsAre("-s/one:1", "-s/one@" + one_digest_));
  EXPECT_TRUE(store_.Resolve("other/name"));
  EXPECT_EQ(store_.Resolve(one_.id)->names.size(), 1U);
}

TEST_F(ChangeTest, IdWithSeveralNamesMustBeForced) {
  ASSERT_TRUE(store_.Tag(one_.id, "s/one:2"));
  const std::string hex(HexOf(one_.id).substr(0, 12));
  EXPECT_EQ(FailToRemove(hex),
            "conflict: unable to delete " + hex +
                " (must be forced) - image is referenced in multiple repositories");
  EXPECT_THAT(MustRemove(hex, true), ElementsAre("-s/one:1", "-s/one:2", "-s/one@" + one_digest_,
                                                 "!" + one_.id, "!" + one_.diff_ids[1]));
}

TEST_F(ChangeTest, IdWithOneNameGoesWithIt) {
  EXPECT_THAT(MustRemove(HexOf(one_.id).substr(0, 6)), SizeIs(4));
  EXPECT_FALSE(store_.Resolve("s/one:1"));
}

TEST_F(ChangeTest, NameByDigestIsTakenAway) {
  EXPECT_THAT(MustRemove("s/one@" + one_digest_), SizeIs(4));
  EXPECT_FALSE(store_.Resolve("s/one:1"));
}

TEST_F(ChangeTest, ImageOfARunningContainerStaysWhateverIsForced) {
  Use(one_.id, true);
  EXPECT_THAT(FailToRemove("s/one:1"),
              HasSubstr("unable to remove repository reference \"s/one:1\" "
                        "(must force) - container 0123456789ab"));
  EXPECT_THAT(FailToRemove(one_.id, true),
              HasSubstr("(cannot be forced) - image is being used by running container"));
  // docker takes the name away and leaves the image without one.
  EXPECT_THAT(MustRemove("s/one:1", true), SizeIs(2));
  EXPECT_THAT(store_.Resolve(one_.id)->names, IsEmpty());
}

TEST_F(ChangeTest, LayersOfAStoppedContainerStayWhenItsImageIsForcedAway) {
  Use(one_.id, false);
  EXPECT_THAT(FailToRemove(one_.id),
              HasSubstr("(must be forced) - image is being used by stopped container"));
  const std::string path = store_.Resolve(one_.id)->layers[1].path;
  EXPECT_THAT(MustRemove(one_.id, true),
              ElementsAre("-s/one:1", "-s/one@" + one_digest_, "!" + one_.id));
  EXPECT_EQ(testing::ReadErofs(*ReadFile(path, 1 << 20)).at("file").content, "one");
  in_use_ = {};
  EXPECT_TRUE(store_.Prune({})->removals.size() == 1 && !fs::exists(path)) << "nobody uses it now";
}

TEST_F(ChangeTest, NothingIsCollectedWhenUseIsNotKnown) {
  store_.SetInUseReader([]() -> Result<InUse> { return Fail(ErrorCode::kFailed, "no idea"); });
  EXPECT_THAT(FailToRemove("s/one:1"), HasSubstr("no idea"));
  store_.SetInUseReader({});
  EXPECT_THAT(MustRemove("s/one:1"), SizeIs(3));
  EXPECT_EQ(CountLayers(), 3U);
}

TEST_F(ChangeTest, TagRefusesWhatIsNoTag) {
  EXPECT_EQ(store_.Tag("s/no:1", "a").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store_.Tag("s/one:1", "A B").error().code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(store_.Tag("s/one:1", "a@" + one_digest_).error().ToString(),
              HasSubstr("refusing to create a tag with a digest reference"));
  ASSERT_TRUE(store_.Tag("s/one:1", "s/two:1"));
  EXPECT_EQ(store_.Resolve("s/two:1")->id, one_.id);
  EXPECT_THAT(store_.Resolve(two_.id)->names, IsEmpty());
}

TEST_F(ChangeTest, PruneTakesWhatHasNoNameAndIsNotUsed) {
  ASSERT_TRUE(store_.Tag("s/one:1", "s/two:1"));
  Use(two_.id, false);
  EXPECT_THAT(store_.Prune({})->removals, IsEmpty());
  in_use_ = {};
  const Result<RemovalReport> report = store_.Prune({});
  ASSERT_TRUE(report);
  EXPECT_THAT(Lines(*report), ElementsAre("!" + two_.id, "!" + two_.diff_ids[1]));
  EXPECT_GT(report->freed_bytes, 0U);
  PruneOptions options;
  options.all = true;
  options.matches = [](const Image&) { return false; };
  EXPECT_THAT(store_.Prune(options)->removals, IsEmpty());
  options.matches = {};
  EXPECT_THAT(Lines(*store_.Prune(options)),
              ElementsAre("-s/one:1", "-s/one@" + one_digest_, "-s/two:1", "-s/two@" + one_digest_,
                          "!" + one_.id, ::testing::_, ::testing::_));
  EXPECT_EQ(CountLayers(), 0U);
}

// A pull that has its layers but not yet its record.
TEST_F(ChangeTest, LayersOfARunningPullStayAndThoseOfADeadOneGo) {
  const fs::path scratch = directory_ / "root/images/tmp/abcdef";
  fs::create_directory(scratch);
  std::ofstream(scratch / "pins") << one_.diff_ids[1] << "\n";
  {
    const UniqueFd held = *OpenFile(scratch, O_RDONLY | O_DIRECTORY);
    ASSERT_EQ(::flock(held.get(), LOCK_EX), 0);
    ASSERT_TRUE(store_.Tidy());
    MustRemove("s/one:1");
    EXPECT_EQ(CountLayers(), 3U);
    EXPECT_TRUE(fs::exists(scratch));
  }
  std::ofstream(directory_ / "root/images/locks/names") << "";
  ASSERT_TRUE(store_.Tidy());
  EXPECT_EQ(CountLayers(), 2U);
  EXPECT_EQ(CountFiles("tmp") + CountFiles("locks"), 0U);
}

TEST_F(ChangeTest, NameWithoutAnImageIsNoImage) {
  fs::remove(directory_ / "root/images/images" /
             ("sha256-" + std::string(HexOf(one_.id)) + ".json"));
  EXPECT_EQ(store_.Resolve("s/one:1").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store_.List()->size(), 1U);
  ASSERT_TRUE(store_.Prune({}));
  EXPECT_EQ(CountLayers(), 2U);
  EXPECT_EQ((*ReadFile(directory_ / "root/images/names.json", 1 << 20)).find("s/one"),
            std::string::npos);
}

TEST_F(ChangeTest, FailedPullLeavesNothing) {
  const auto lying = layout_.AddImage({Tar("fresh"), Tar("liar")}, Named("s/liar:1"),
                                      {DigestOf(Tar("fresh")), DigestOf("no such tar")});
  layout_.Finish({lying.manifest});
  FailToPull("oci:" + layout_.path(), ErrorCode::kCorrupt);
  EXPECT_EQ(CountLayers(), 3U);
}

}  // namespace
}  // namespace hull::images
