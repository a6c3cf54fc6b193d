// The store over layouts made here, with the real hull-import. HULL_IMPORT names it (see
// CMakeLists.txt).
#include "images/store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <thread>

#include "images/digest/digest.h"
#include "images/import/testing/erofs_reader.h"
#include "images/import/testing/tar_builder.h"
#include "images/store/assemble.h"
#include "images/store/collect.h"
#include "images/store/skopeo.h"
#include "images/store/testing/store_fixture.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

namespace fs = std::filesystem;
using testing::Gzip;
using ::testing::HasSubstr;
using testing::kManifestType;
using testing::LayoutMaker;
using testing::Named;
using testing::StoreTest;
using testing::TarBuilder;

TEST_F(StoreTest, EmptyStoreListsNothingAndKnowsNoImage) {
  EXPECT_TRUE(store_.List()->empty());
  EXPECT_EQ(store_.Resolve("busybox").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(store_.Resolve("not a name").error().code(), ErrorCode::kInvalidArgument);
  EXPECT_FALSE(fs::exists(directory_ / "root")) << "reading made something";
}

TEST_F(StoreTest, PulledImageHasLayersLowestFirst) {
  LayoutMaker layout(directory_ / "layout");
  const auto made = layout.AddImage({Tar("lower"), Tar("upper")}, Named("sample/two:latest"));
  layout.Finish({made.manifest});
  const Result<Image> image = store_.Pull("oci:" + layout.path(), {});
  ASSERT_TRUE(image) << image.error().ToString();
  EXPECT_EQ(image->id, made.id);
  EXPECT_TRUE(image->is_new);
  EXPECT_THAT(image->names, ::testing::ElementsAre("docker.io/sample/two:latest"));
  EXPECT_THAT(image->config, HasSubstr(R"("Cmd":["sh"])"));
  EXPECT_EQ(image->created, "2024-01-02T03:04:05Z");
  ASSERT_EQ(image->layers.size(), 2U);
  const char* contents[] = {"lower", "upper"};
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(image->layers[i].diff_id, made.diff_ids[i]);
    const std::string erofs = *ReadFile(image->layers[i].path, 1 << 20);
    EXPECT_EQ(erofs.size(), image->layers[i].size_bytes);
    EXPECT_EQ(testing::ReadErofs(erofs).at("file").content, contents[i]);
  }
  for (const auto& [path, content] : Snapshot()) {
    EXPECT_FALSE(path.starts_with("tmp") || path.starts_with("locks")) << path << " was left";
  }
  const Result<Image> again = store_.Pull("oci:" + layout.path(), {});
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->is_new);
}

// tmp/x without tmp: as unpacked onto the layers below, tmp keeps the mode and owner it has there.
TEST_F(StoreTest, DirectoryWithoutEntryIsAsInTheLayersBelow) {
  TarBuilder base;
  base.Directory("tmp", 01777)
      .Directory("plain")
      .Directory("gone", 0700)
      .Directory("remade", 0700)
      .Directory("emptied", 0700)
      .Directory("replaced", 0700)
      .File("file");
  base.Add({.path = "home/app", .mode = 0040750, .uid = 1000, .gid = 1001});
  TarBuilder between;
  between.File(".wh.gone", "")
      .File("remade/.wh..wh..opq", "")
      .Directory("remade", 0711)
      .File("other");
  TarBuilder top;
  top.File("tmp/x")
      .File("plain/x")
      .File("gone/x")
      .File("home/app/deep/er/x")
      .File("remade/x")
      .File("emptied/.wh..wh..opq")
      .File("emptied/x")
      .File(".wh.replaced")
      .File("replaced/x")
      .File("new/x");
  const std::string top_tar = top.Finish();
  LayoutMaker layout(directory_ / "layout");
  const auto made = layout.AddImage({base.Finish(), between.Finish(), top_tar}, Named("s/x:1"));
  const auto alone = layout.AddImage({top_tar}, Named("s/alone:1"));
  layout.Finish({made.manifest, alone.manifest});
  const Result<Image> image = store_.Pull("oci:" + layout.path() + ":s/x:1", {});
  ASSERT_TRUE(image) << image.error().ToString();
  const auto files = testing::ReadErofs(*ReadFile(image->layers[2].path, 1 << 24));
  EXPECT_EQ(files.at("tmp").mode, 0041777U);
  EXPECT_EQ(files.at("plain").mode, 0040755U);
  EXPECT_EQ(files.at("gone").mode, 0040755U) << "a whiteout is between";
  EXPECT_EQ(files.at("home/app").mode, 0040750U);
  EXPECT_EQ(files.at("home/app").uid, 1000U);
  EXPECT_EQ(files.at("home/app").gid, 1001U);
  EXPECT_EQ(files.at("home/app/deep").uid, 0U);
  EXPECT_EQ(files.at("remade").mode, 0040711U);
  EXPECT_EQ(files.at("emptied").mode, 0040700U) << "it loses what is in it alone";
  EXPECT_EQ(files.at("replaced").mode, 0040755U) << "it is a new one";
  EXPECT_EQ(files.at("new").mode, 0040755U);
  EXPECT_EQ(files.at("tmp/x").content, "x");
  // Where nothing is below, the layer stays as it is; both files are there, and both images
  // resolve.
  const Result<Image> single = store_.Pull("oci:" + layout.path() + ":s/alone:1", {});
  ASSERT_TRUE(single) << single.error().ToString();
  EXPECT_EQ(testing::ReadErofs(*ReadFile(single->layers[0].path, 1 << 24)).at("tmp").mode,
            0040755U);
  EXPECT_NE(single->layers[0].path, image->layers[2].path);
  EXPECT_EQ(store_.Resolve("s/x:1")->layers[2].path, image->layers[2].path);
  EXPECT_FALSE(store_.Pull("oci:" + layout.path() + ":s/x:1", {})->is_new);
}

TEST_F(StoreTest, ImageIsFoundByNameIdAndPrefix) {
  LayoutMaker layout(directory_ / "layout");
  const auto made = layout.AddImage({Tar("x")});
  layout.Finish({made.manifest});
  PullOptions options;
  options.name = "registry.example/a/b:1";
  ASSERT_TRUE(store_.Pull("oci:" + layout.path(), options));
  const std::string hex(HexOf(made.id));
  const std::string digest = store_.Resolve(made.id)->digest;
  for (const std::string& name :
       {std::string("registry.example/a/b:1"), made.id, hex, hex.substr(0, 12),
        "sha256:" + hex.substr(0, 5), "registry.example/a/b@" + digest}) {
    const Result<Image> image = store_.Resolve(name);
    ASSERT_TRUE(image) << name << ": " << image.error().ToString();
    EXPECT_EQ(image->id, made.id);
  }
  for (const std::string& name : {std::string("registry.example/a/b"), std::string("a/b:1"),
                                  hex + "0", "registry.example/a/c@" + digest}) {
    EXPECT_FALSE(store_.Resolve(name)) << name;
  }
}

TEST_F(StoreTest, BareTagInLayoutGivesNoName) {
  LayoutMaker layout(directory_ / "layout");
  const auto made = layout.AddImage({Tar("x")}, Named("latest"));
  layout.Finish({made.manifest});
  const Result<Image> image = store_.Pull("oci:" + layout.path() + ":latest", {});
  ASSERT_TRUE(image) << image.error().ToString();
  EXPECT_TRUE(image->names.empty());
  EXPECT_EQ(store_.List()->size(), 1U);
}

TEST_F(StoreTest, SharedLayerIsMadeOnce) {
  LayoutMaker layout(directory_ / "layout");
  const auto one = layout.AddImage({Tar("base"), Tar("one")}, Named("s/one:latest"));
  const auto two = layout.AddImage({Tar("base"), Tar("two"), Tar("two")}, Named("s/two:latest"));
  layout.Finish({one.manifest, two.manifest});
  ASSERT_TRUE(store_.Pull("oci:" + layout.path() + ":s/one:latest", {}));
  std::vector<std::string> existed;
  PullOptions options;
  options.progress = [&](const PullProgress& progress) {
    if (progress.phase == PullProgress::Phase::kExists) existed.push_back(progress.subject);
  };
  const Result<Image> image = store_.Pull("oci:" + layout.path() + ":s/two:latest", options);
  ASSERT_TRUE(image) << image.error().ToString();
  EXPECT_THAT(existed, ::testing::ElementsAre(one.blobs[0], two.blobs[2]));
  EXPECT_EQ(image->layers[1].path, image->layers[2].path);
}

TEST_F(StoreTest, IndexResolvesToThePlatform) {
  LayoutMaker layout(directory_ / "layout");
  const auto arm = layout.AddImage(
      {Tar("arm")}, R"(,"platform":{"os":"linux","architecture":"arm64"})", {}, "arm64");
  const auto amd =
      layout.AddImage({Tar("amd")}, R"(,"platform":{"os":"linux","architecture":"amd64"})");
  const std::string index =
      fmt::format(R"({{"schemaVersion":2,"manifests":[{},{}]}})", arm.manifest, amd.manifest);
  layout.Finish({layout.Blob(index, "application/vnd.oci.image.index.v1+json", Named("s/m:1"))});
  const Result<Image> image = store_.Pull("oci:" + layout.path(), {});
  ASSERT_TRUE(image) << image.error().ToString();
  EXPECT_EQ(image->id, amd.id);
  EXPECT_EQ(image->digest, DigestOf(index));
  EXPECT_NE(image->manifest_digest, image->digest);
  PullOptions options;
  options.architecture = "riscv64";
  EXPECT_THAT(FailToPull("oci:" + layout.path(), ErrorCode::kNotFound, options),
              HasSubstr("linux/arm64"));
}

TEST_F(StoreTest, ImageForAnotherArchitectureIsRefused) {
  LayoutMaker layout(directory_ / "layout");
  layout.Finish({layout.AddImage({Tar("x")}, "", {}, "arm64").manifest});
  // Nothing of it may come in: the directories alone are made by the first pull.
  EXPECT_THAT(FailToPull("oci:" + layout.path(), ErrorCode::kUnsupported),
              HasSubstr("linux/arm64"));
}

TEST_F(StoreTest, LiesAboutContentAreFoundAndLeaveTheStoreAsItWas) {
  LayoutMaker layout(directory_ / "layout");
  const std::string tar = Tar(std::string(5000, 'x'));
  const auto good = layout.AddImage({Tar("good")}, Named("s/good:1"));
  const auto wrong_diff_id =
      layout.AddImage({tar}, Named("s/wrong:1"), {DigestOf("something else")});
  layout.Finish({good.manifest, wrong_diff_id.manifest});
  ASSERT_TRUE(store_.Pull("oci:" + layout.path() + ":s/good:1", {}));
  EXPECT_THAT(FailToPull("oci:" + layout.path() + ":s/wrong:1", ErrorCode::kCorrupt),
              HasSubstr("unpacks to"));

  const auto damaged = layout.AddImage({tar}, Named("s/damaged:1"));
  layout.Finish({damaged.manifest});
  const fs::path blob = layout.BlobPath(damaged.blobs[0]);
  const std::string true_blob = *ReadFile(blob, 1 << 20);
  // Another layer that unpacks well, of the same size: only its digest tells.
  std::string other = true_blob;
  other[9] =
      static_cast<char>(other[9] ^ 1);  // the operating system in gzip's header (RFC 1952, 2.3)
  std::ofstream(blob, std::ios::binary) << other;
  EXPECT_THAT(FailToPull("oci:" + layout.path(), ErrorCode::kCorrupt),
              HasSubstr("not what the manifest names"));
  std::ofstream(blob, std::ios::binary) << true_blob.substr(0, true_blob.size() - 20);
  EXPECT_THAT(FailToPull("oci:" + layout.path(), ErrorCode::kCorrupt),
              HasSubstr("the manifest says"));
  fs::remove(blob);
  EXPECT_THAT(FailToPull("oci:" + layout.path(), ErrorCode::kCorrupt), HasSubstr("no blob"));
  fs::create_symlink("/etc/passwd", blob);
  FailToPull("oci:" + layout.path(), ErrorCode::kInvalidArgument);
  fs::remove(blob);
  ASSERT_EQ(::mkfifo(blob.c_str(), 0600), 0);
  EXPECT_THAT(FailToPull("oci:" + layout.path(), ErrorCode::kCorrupt),
              HasSubstr("not a regular file"));
  fs::remove(blob);
  std::ofstream(blob, std::ios::binary) << true_blob;
  EXPECT_TRUE(store_.Pull("oci:" + layout.path(), {}));
}

TEST_F(StoreTest, ManifestOrConfigurationThatLiesIsRefused) {
  LayoutMaker layout(directory_ / "layout");
  const auto made = layout.AddImage({Tar("x")});
  layout.Finish({made.manifest});
  const std::string config = *ReadFile(layout.BlobPath(made.id), 1 << 20);
  std::string changed = config;
  changed.replace(changed.find("2024"), 4, "1999");
  std::ofstream(layout.BlobPath(made.id)) << changed;
  EXPECT_THAT(FailToPull("oci:" + layout.path(), ErrorCode::kCorrupt),
              HasSubstr("the content of blob"));
  std::ofstream(layout.BlobPath(made.id)) << config;
  const auto fewer = layout.AddImage({Tar("x"), Tar("y")});
  std::string manifest = *ReadFile(
      layout.BlobPath(DigestOf(*ReadFile(
          layout.BlobPath(fewer.manifest.substr(fewer.manifest.find("sha256:"), 71)), 1 << 20))),
      1 << 20);
  manifest.erase(manifest.rfind(",{"), manifest.rfind("]") - manifest.rfind(",{"));
  layout.Finish({layout.Blob(manifest, kManifestType)});
  EXPECT_THAT(FailToPull("oci:" + layout.path(), ErrorCode::kCorrupt),
              HasSubstr("the manifest has 1 layers"));
}

TEST_F(StoreTest, HostileLayerIsRefusedInItsOwnProcess) {
  TarBuilder tar;
  tar.File("../../../../../../etc/hull-was-here");
  LayoutMaker layout(directory_ / "layout");
  layout.Finish({layout.AddImage({tar.Finish()}).manifest});
  EXPECT_THAT(FailToPull("oci:" + layout.path(), ErrorCode::kCorrupt), HasSubstr("climbs out"));
  EXPECT_FALSE(fs::exists("/etc/hull-was-here"));
}

TEST_F(StoreTest, LayerOverTheLimitIsRefused) {
  LayoutMaker layout(directory_ / "layout");
  layout.Finish({layout.AddImage({Tar(std::string(1 << 20, '\0'))}).manifest});
  PullOptions options;
  options.limits.layer_bytes = 1 << 16;
  FailToPull("oci:" + layout.path(), ErrorCode::kExhausted, options);
}

TEST_F(StoreTest, MissingImporterIsNamed) {
  LayoutMaker layout(directory_ / "layout");
  layout.Finish({layout.AddImage({Tar("x")}).manifest});
  Store store = *Store::Open(directory_ / "root", "/nowhere/hull-import");
  const Result<Image> image = store.Pull("oci:" + layout.path(), {});
  ASSERT_FALSE(image);
  EXPECT_THAT(image.error().ToString(), HasSubstr("/nowhere/hull-import"));
  EXPECT_THAT(image.error().hint(), HasSubstr("HULL_IMPORT"));
}

TEST_F(StoreTest, PullsAtOnceDoTheWorkOnce) {
  LayoutMaker layout(directory_ / "layout");
  const auto made = layout.AddImage(
      {Tar(std::string(1 << 20, 'a')), Tar(std::string(1 << 20, 'b'))}, Named("s/x:1"));
  layout.Finish({made.manifest});
  std::atomic<int> done = 0;
  PullOptions options;
  options.progress = [&](const PullProgress& progress) {
    if (progress.phase == PullProgress::Phase::kDone) ++done;
  };
  std::vector<std::thread> threads;
  std::atomic<int> succeeded = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      if (store_.Pull("oci:" + layout.path(), options)) ++succeeded;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(succeeded, 8);
  EXPECT_EQ(done, 2);
}

TEST_F(StoreTest, LayerThatAnImageHasSeveralTimesIsAskedForOnce) {
  LayoutMaker layout(directory_ / "layout");
  const std::string empty = Tar("the same");
  const auto made = layout.AddImage({empty, Tar("other"), empty, empty});
  layout.Finish({made.manifest});
  const StorePaths paths(directory_ / "root/images");
  ASSERT_TRUE(MakeStore(paths));
  const ScratchDirectory scratch = *ScratchDirectory::Make(paths.Scratch());
  const size_t digest = made.manifest.find("sha256:");
  const std::string manifest =
      *ReadFile(layout.BlobPath(made.manifest.substr(digest, 71)), 1 << 20);
  const PullOptions options;
  const ImageParts parts =
      *ParseParts(manifest, *ReadFile(layout.BlobPath(made.id), 1 << 20), options);
  Assembler assembler(paths, testing::Importer(), options, scratch);
  ASSERT_TRUE(assembler.Pin(parts));
  std::map<std::string, std::atomic<int>> asked;
  for (const Descriptor& layer : parts.manifest.layers) asked[layer.digest] = 0;
  BlobSource blobs;
  // As a registry's: it comes while it is waited for, and is gone when it was let go of.
  blobs.find = [&](const Descriptor& layer) -> Result<std::string> {
    const int before = asked.at(layer.digest)++;
    ::usleep(100'000);
    if (before > 0) return Fail(ErrorCode::kCorrupt, "gone");
    return layout.BlobPath(layer.digest).string();
  };
  const Status imported = assembler.ImportLayers(parts, blobs);
  ASSERT_TRUE(imported) << imported.error().ToString();
  for (const std::string& diff_id : made.diff_ids) EXPECT_TRUE(HasLayer(paths, diff_id));
}

// Pulls in a process of its own that is killed after `delay_us`.
void PullAndKill(Store& store, const std::string& reference, useconds_t delay_us) {
  const pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    const Result<Image> image = store.Pull(reference, {});
    ::_exit(image ? 0 : 1);
  }
  ::usleep(delay_us);
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

TEST_F(StoreTest, KillAtAnyMomentBreaksNothingAndTheNextPullCleansUp) {
  LayoutMaker layout(directory_ / "layout");
  std::vector<std::string> tars;
  for (char c = 'a'; c < 'f'; ++c) tars.push_back(Tar(std::string(size_t{2} << 20, c)));
  const auto made = layout.AddImage(tars, Named("s/x:1"));
  const auto small = layout.AddImage({Tar("small")}, Named("s/small:1"));
  layout.Finish({made.manifest, small.manifest});
  for (useconds_t delay = 0; delay < 60'000; delay += 1'500) {
    fs::remove_all(directory_ / "root");
    ASSERT_TRUE(store_.Pull("oci:" + layout.path() + ":s/small:1", {}));
    PullAndKill(store_, "oci:" + layout.path() + ":s/x:1", delay);
    ASSERT_TRUE(store_.Resolve("s/small:1")) << delay;
    const Result<std::vector<Image>> images = store_.List();
    ASSERT_TRUE(images) << images.error().ToString();
    for (const auto& layer : fs::directory_iterator(directory_ / "root/images/layers")) {
      if (layer.path().extension() != ".erofs") continue;
      ASSERT_EQ(testing::ReadErofs(*ReadFile(layer.path(), 1 << 24)).size(), 2U);
    }
  }
  ASSERT_TRUE(store_.Pull("oci:" + layout.path() + ":s/x:1", {}));
  EXPECT_TRUE(fs::is_empty(directory_ / "root/images/tmp"));
  EXPECT_EQ(store_.Resolve("s/x:1")->layers.size(), 5U);
}

TEST_F(StoreTest, RecordsOfAnotherVersionAreNamed) {
  LayoutMaker layout(directory_ / "layout");
  layout.Finish({layout.AddImage({Tar("x")}, Named("s/x:1")).manifest});
  ASSERT_TRUE(store_.Pull("oci:" + layout.path(), {}));
  std::ofstream(directory_ / "root/images/names.json") << R"({"version":2,"names":[]})";
  EXPECT_THAT(store_.Resolve("s/x:1").error().ToString(), HasSubstr("version 2"));
  std::ofstream(directory_ / "root/images/names.json") << "{";
  EXPECT_EQ(store_.List().error().code(), ErrorCode::kCorrupt);
}

TEST_F(StoreTest, DamagedImageIsListedAndCanBePulledAgainOrRemoved) {
  LayoutMaker layout(directory_ / "layout");
  const auto made = layout.AddImage({Tar("a"), Tar("b")}, Named("s/x:1"));
  layout.Finish({made.manifest});
  const std::string source = "oci:" + layout.path();
  const StorePaths paths(directory_ / "root/images");
  const std::string layer = paths.Layer(made.diff_ids[1]);
  for (const auto& damage : std::vector<std::function<void()>>{
           [&] { fs::remove(layer); },
           [&] { fs::resize_file(layer, 100); },
           [&] { fs::resize_file(paths.Recipe(made.diff_ids[1]), 5); },
           [&] { fs::remove(paths.Blob(made.id)); },
       }) {
    ASSERT_TRUE(store_.Pull(source, {}));
    const auto whole = Snapshot();
    damage();
    const Result<std::vector<Image>> images = store_.List();
    ASSERT_TRUE(images) << images.error().ToString();
    ASSERT_EQ(images->size(), 1U);
    if (const Result<Image> image = store_.Resolve("s/x:1"); !image) {
      EXPECT_THAT(image.error().hint(), HasSubstr("pull the image again"));
    }
    ASSERT_TRUE(store_.Pull(source, {}));
    EXPECT_EQ(Snapshot(), whole);
    damage();
    ASSERT_TRUE(store_.Remove("s/x:1", false));
    EXPECT_TRUE(store_.List()->empty());
  }
}

TEST_F(StoreTest, LayoutThatIsNoneIsRefused) {
  EXPECT_THAT(FailToPull("oci:" + (directory_ / "nowhere").string(), ErrorCode::kNotFound),
              HasSubstr("oci-layout"));
  LayoutMaker layout(directory_ / "layout");
  const auto made = layout.AddImage({Tar("x")}, Named("s/x:1"));
  const auto other = layout.AddImage({Tar("y")}, Named("s/y:1"));
  layout.Finish({made.manifest, other.manifest});
  EXPECT_THAT(FailToPull("oci:" + layout.path(), ErrorCode::kInvalidArgument),
              HasSubstr("s/x:1, s/y:1"));
  EXPECT_THAT(FailToPull("oci:" + layout.path() + ":z", ErrorCode::kNotFound),
              HasSubstr("s/x:1, s/y:1"));
}

TEST(Skopeo, MessageIsTakenOutOfItsLog) {
  EXPECT_EQ(SkopeoMessage("time=\"2023-01-01T00:00:00Z\" level=fatal msg=\"a \\\"b\\\" c\\\\d\"\n"),
            "a \"b\" c\\d");
  EXPECT_EQ(SkopeoMessage("plain words\n"), "plain words");
  EXPECT_EQ(SkopeoMessage(R"(msg="1 error occurred:\n\t* no \\n \"x\"\n")"),
            "1 error occurred: * no \\n \"x\" ");
  EXPECT_EQ(SkopeoMessage("first\nmsg=\"last\x1b[2J\""), "last\\x1b[2J");
}

}  // namespace
}  // namespace hull::images
