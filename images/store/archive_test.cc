// Images to archives and back, and archives that lie.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <thread>

#include "images/store/testing/store_fixture.h"

namespace hull::images {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using testing::Gzip;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::LayoutMaker;
using testing::Named;
using testing::StoreTest;
using testing::TarBuilder;

class ArchiveTest : public StoreTest {
 protected:
  ArchiveTest() : other_(*Store::Open(directory_ / "other", testing::Importer())) {
    LayoutMaker layout(directory_ / "layout");
    // Not as libarchive would write it: the tar has to come out as it came.
    TarBuilder odd;
    odd.File("a", std::string(5000, 'a')).File("a", "again").Link("l", "a").HardLink("h", "a");
    odd.File("big", std::string(size_t{3} << 20, '\0') + "end");
    one_ = layout.AddImage({odd.Finish() + std::string(4096, '\0'), Tar("one")}, Named("s/one:1"));
    two_ = layout.AddImage({Tar("two")}, Named("s/two:1"));
    layout.Finish({one_.manifest, two_.manifest});
    for (const char* name : {"s/one:1", "s/two:1"}) {
      const Result<Image> image = store_.Pull("oci:" + layout.path() + ":" + name, {});
      EXPECT_TRUE(image) << image.error().ToString();
    }
    for (Store* store : {&store_, &other_})
      store->SetInUseReader([]() -> Result<InUse> { return InUse(); });
  }

  Result<std::string> Save(const std::vector<std::string>& names,
                           ArchiveFormat format = ArchiveFormat::kDocker) {
    std::string archive;
    HULL_TRY(store_.Save(names, format, [&](std::string_view piece) {
      archive += piece;
      return Status();
    }));
    return archive;
  }

  Result<std::vector<Loaded>> Load(std::string_view archive) {
    const fs::path path = directory_ / "archive";
    std::ofstream(path, std::ios::binary) << archive;
    const UniqueFd fd = *OpenFile(path, O_RDONLY);
    return other_.Load(fd.get(), {});
  }

  std::string FailToLoad(std::string_view archive) {
    const Result<std::vector<Loaded>> loaded = Load(archive);
    EXPECT_FALSE(loaded);
    EXPECT_TRUE(other_.List()->empty());
    const fs::path images = directory_ / "other/images";
    for (const char* folder : {"layers", "blobs", "tmp", "locks"})
      EXPECT_TRUE(fs::is_empty(images / folder)) << folder;
    return loaded ? "no error" : loaded.error().ToString();
  }

  // An archive of docker's with one image: `files` and a manifest.json that names them.
  static std::string DockerArchive(const std::map<std::string, std::string>& files,
                                   std::string_view manifest) {
    TarBuilder tar;
    for (const auto& [name, content] : files) tar.File(name, content);
    tar.File("manifest.json", std::string(manifest));
    return tar.Finish();
  }

  static std::string Config(std::string_view diff_id) {
    return fmt::format(
        R"({{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["{}"]}}}})",
        diff_id);
  }

  Store other_;
  LayoutMaker::Image one_;
  LayoutMaker::Image two_;
};

TEST_F(ArchiveTest, SavedImageLoadsAsTheSame) {
  for (const ArchiveFormat format : {ArchiveFormat::kDocker, ArchiveFormat::kOci}) {
    fs::remove_all(directory_ / "other");
    ASSERT_TRUE(store_.Tag("s/one:1", "again:2"));
    const Result<std::string> archive = Save({"s/one:1", "again:2", "s/two"}, format);
    ASSERT_TRUE(archive) << archive.error().ToString();
    EXPECT_EQ(*archive, *Save({"s/one:1", "again:2", "s/two"}, format)) << "not reproducible";
    const Result<std::vector<Loaded>> loaded = Load(*archive);
    ASSERT_TRUE(loaded) << loaded.error().ToString();
    ASSERT_EQ(loaded->size(), 2U);
    EXPECT_EQ(loaded->at(0).id, one_.id);
    EXPECT_THAT(loaded->at(0).names, ElementsAre("docker.io/s/one:1", "docker.io/library/again:2"));
    EXPECT_THAT(loaded->at(1).names, ElementsAre("docker.io/s/two:1"));
    const Result<Image> image = other_.Resolve("again:2");
    ASSERT_TRUE(image);
    EXPECT_EQ(image->id, one_.id);
    EXPECT_EQ(image->config, store_.Resolve("s/one:1")->config);
    for (size_t i = 0; i < image->layers.size(); ++i) {
      EXPECT_EQ(*ReadFile(image->layers[i].path, 1 << 24),
                *ReadFile(store_.Resolve("s/one:1")->layers[i].path, 1 << 24));
    }
    EXPECT_TRUE(fs::is_empty(directory_ / "other/images/tmp"));
    EXPECT_TRUE(fs::is_empty(directory_ / "root/images/tmp"));
  }
}

TEST_F(ArchiveTest, CompressedArchiveAndArchiveFromAPipeAreRead) {
  const std::string archive = *Save({"s/two:1"});
  ASSERT_TRUE(Load(Gzip(archive)));
  ASSERT_TRUE(Load(testing::Zstd(archive)));
  ASSERT_TRUE(Load(testing::Xz(archive)));
  ASSERT_TRUE(Load(testing::Bzip2(archive)));
  std::array<int, 2> fds;
  ASSERT_EQ(::pipe2(fds.data(), O_CLOEXEC), 0);
  const UniqueFd read(fds[0]);
  std::thread writer([&] {
    const UniqueFd write(fds[1]);
    EXPECT_TRUE(WriteAll(write.get(), archive));
  });
  const Result<std::vector<Loaded>> loaded = other_.Load(read.get(), {});
  writer.join();
  ASSERT_TRUE(loaded) << loaded.error().ToString();
}

TEST_F(ArchiveTest, DirectoryOfOneImageIsRead) {
  const fs::path directory = directory_ / "plain";
  fs::create_directory(directory);
  LayoutMaker layout(directory_ / "another");
  const auto made = layout.AddImage({Tar("plain")});
  for (const auto& blob : fs::directory_iterator(layout.path() + "/blobs/sha256"))
    fs::copy(blob.path(), directory / blob.path().filename());
  const std::string digest = made.manifest.substr(made.manifest.find("sha256:"), 71);
  fs::copy(layout.BlobPath(digest), directory / "manifest.json");
  std::ofstream(directory / "version") << "Directory Transport Version: 1.1\n";
  const UniqueFd fd = *OpenFile(directory, O_RDONLY | O_DIRECTORY);
  const Result<std::vector<Loaded>> loaded = other_.Load(fd.get(), {});
  ASSERT_TRUE(loaded) << loaded.error().ToString();
  EXPECT_EQ(loaded->at(0).id, made.id);
  EXPECT_THAT(loaded->at(0).names, IsEmpty());
}

TEST_F(ArchiveTest, WhatIsForOthersIsLeftOutOfALayout) {
  LayoutMaker layout(directory_ / "mixed");
  const auto platform = [](std::string_view os, std::string_view architecture) {
    return fmt::format(R"(,"platform":{{"os":"{}","architecture":"{}"}})", os, architecture);
  };
  const auto ours = layout.AddImage({Tar("ours")}, Named("s/x:1") + platform("linux", "amd64"));
  const auto theirs =
      layout.AddImage({Tar("theirs")}, Named("s/x:1") + platform("linux", "arm64"), {}, "arm64");
  const auto unnamed = layout.AddImage({Tar("unnamed")}, platform("linux", "s390x"), {}, "s390x");
  const std::string attestation =
      layout.Blob(R"({"schemaVersion":2})", testing::kManifestType, platform("unknown", "unknown"));
  const std::string signature =
      layout.Blob(fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[]}})",
                              layout.Blob("{}", "application/vnd.example.signature")),
                  testing::kManifestType);
  layout.Finish({attestation, theirs.manifest, unnamed.manifest, signature, ours.manifest});
  const UniqueFd fd = *OpenFile(layout.path(), O_RDONLY | O_DIRECTORY);
  const Result<std::vector<Loaded>> loaded = other_.Load(fd.get(), {});
  ASSERT_TRUE(loaded) << loaded.error().ToString();
  ASSERT_EQ(loaded->size(), 1U);
  EXPECT_EQ(loaded->at(0).id, ours.id);
  EXPECT_TRUE(other_.Pull("oci:" + layout.path() + ":s/x:1", {}));
  // Nothing for us: then it is said what it is.
  layout.Finish({theirs.manifest});
  EXPECT_THAT(other_.Load(fd.get(), {}).error().ToString(), HasSubstr("for linux/arm64"));
  layout.Finish({signature, signature});
  EXPECT_THAT(other_.Load(fd.get(), {}).error().ToString(), HasSubstr("no container image"));
}

TEST_F(ArchiveTest, ArchivesArePulledByName) {
  ASSERT_TRUE(store_.Tag("s/one:1", "again:2"));
  const std::vector<std::string> names = {"s/one:1", "again:2", "s/two:1"};
  const fs::path docker = directory_ / "docker.tar.gz";
  const fs::path oci = directory_ / "oci.tar.xz";
  std::ofstream(docker, std::ios::binary) << Gzip(*Save(names));
  std::ofstream(oci, std::ios::binary) << testing::Xz(*Save({"s/two:1"}, ArchiveFormat::kOci));
  const auto pull = [&](const std::string& reference) {
    const Result<Image> image = other_.Pull(reference, {});
    return image ? image->pulled_name + " " + image->id : image.error().ToString();
  };
  const std::string source = "docker-archive:" + docker.string();
  EXPECT_EQ(pull(source), "docker.io/s/one:1 " + one_.id) << "the first";
  EXPECT_EQ(pull(source + ":s/two:1"), "docker.io/s/two:1 " + two_.id);
  EXPECT_EQ(pull(source + ":again:2"), "docker.io/library/again:2 " + one_.id);
  EXPECT_THAT(pull(source + ":nope"),
              HasSubstr("no image \"nope\", only s/one:1, again:2, s/two:1"));
  ASSERT_TRUE(other_.Remove("s/two:1", false));
  EXPECT_EQ(pull("oci-archive:" + oci.string()), "docker.io/s/two:1 " + two_.id);
  EXPECT_THAT(pull("docker-archive:" + oci.string()), HasSubstr("but an OCI layout"));
  EXPECT_TRUE(fs::is_empty(directory_ / "other/images/tmp"));
}

TEST_F(ArchiveTest, ImageSavedByItsIdHasNoName) {
  const Result<std::vector<Loaded>> loaded = Load(*Save({two_.id}));
  ASSERT_TRUE(loaded) << loaded.error().ToString();
  EXPECT_THAT(loaded->at(0).names, IsEmpty());
  EXPECT_TRUE(other_.Resolve(two_.id));
}

TEST_F(ArchiveTest, LayerWithoutAWayBackIsMadeAnew) {
  const std::string recipe = directory_ / "root/images/layers" /
                             ("sha256-" + std::string(HexOf(two_.diff_ids[0])) + ".recipe");
  ASSERT_TRUE(fs::remove(recipe));
  const Result<std::string> archive = Save({"s/two:1"});
  ASSERT_FALSE(archive);
  EXPECT_EQ(archive.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(archive.error().hint(), HasSubstr("pull the image again"));
  ASSERT_TRUE(store_.Pull("oci:" + (directory_ / "layout").string() + ":s/two:1", {}));
  EXPECT_TRUE(Save({"s/two:1"}));
}

TEST_F(ArchiveTest, DamagedLayerIsNotPassedOn) {
  const std::string path = store_.Resolve("s/two:1")->layers[0].path;
  std::string content = *ReadFile(path, 1 << 20);
  content[4096] = static_cast<char>(content[4096] ^ 1);
  fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
  std::ofstream(path, std::ios::binary) << content;
  EXPECT_THAT(Save({"s/two:1"}).error().ToString(), HasSubstr("is damaged"));
  std::ofstream(path, std::ios::binary) << content << "more";
  EXPECT_EQ(Save({"s/two:1"}).error().code(), ErrorCode::kCorrupt);
}

TEST_F(ArchiveTest, DockersOlderArchivesAreRead) {
  const std::string layer = Tar("x");
  const std::string config = Config(DigestOf(layer));
  TarBuilder tar;
  tar.Directory("abc").File("abc/layer.tar", layer).File("conf.json", config);
  tar.Link("def/layer.tar", "../abc/layer.tar");
  tar.File("manifest.json",
           R"([{"Config":"conf.json","RepoTags":["a:1","b:2"],"Layers":["def/layer.tar"]}])");
  const Result<std::vector<Loaded>> loaded = Load(tar.Finish());
  ASSERT_TRUE(loaded) << loaded.error().ToString();
  EXPECT_EQ(loaded->at(0).id, DigestOf(config));
  EXPECT_TRUE(other_.Resolve("b:2"));
  // Layers may be compressed.
  fs::remove_all(directory_ / "other");
  ASSERT_TRUE(Load(DockerArchive({{"l", Gzip(layer)}, {"c", config}},
                                 R"([{"Config":"c","RepoTags":null,"Layers":["./l"]}])")));
}

TEST_F(ArchiveTest, ArchivesThatLieAreRefusedAndLeaveNothing) {
  const std::string layer = Tar("x");
  const std::string config = Config(DigestOf(layer));
  constexpr std::string_view kManifest = R"([{"Config":"c","RepoTags":["a"],"Layers":["l"]}])";
  EXPECT_THAT(FailToLoad("no tar at all"), HasSubstr("it is no tar"));
  EXPECT_THAT(FailToLoad(TarBuilder().File("x").Finish()), HasSubstr("it is no image archive"));
  EXPECT_THAT(FailToLoad(DockerArchive({{"c", config}}, kManifest)),
              HasSubstr("the archive has no file \"l\""));
  EXPECT_THAT(FailToLoad(DockerArchive({{"l", layer}}, kManifest)),
              HasSubstr("the archive has no file \"c\""));
  EXPECT_THAT(FailToLoad(DockerArchive({{"c", config}, {"l", Tar("y")}}, kManifest)),
              HasSubstr("unpacks to"));
  EXPECT_THAT(FailToLoad(DockerArchive({{"c", Config("sha256:x")}, {"l", layer}}, kManifest)),
              HasSubstr("diff"));
  EXPECT_THAT(FailToLoad(DockerArchive({{"c", config}, {"l", layer}}, "{}")),
              HasSubstr("manifest.json is no list"));
  EXPECT_THAT(FailToLoad(DockerArchive({{"c", config}, {"l", layer}},
                                       R"([{"Config":"c","RepoTags":["A B"],"Layers":["l"]}])")),
              HasSubstr("invalid image name"));
  EXPECT_THAT(FailToLoad(DockerArchive({{"l", layer}},
                                       R"([{"Config":"../../../etc/hostname","Layers":["l"]}])")),
              HasSubstr("no file"));
  TarBuilder links;
  links.Link("c", "/etc/hostname")
      .Link("l", "c2")
      .Link("c2", "l")
      .File("manifest.json", std::string(kManifest));
  EXPECT_THAT(FailToLoad(links.Finish()), HasSubstr("no file \"c\""));
  const std::string good = DockerArchive({{"c", config}, {"l", layer}}, kManifest);
  EXPECT_THAT(FailToLoad(good.substr(0, good.size() / 3)), HasSubstr("damaged"));
  EXPECT_THAT(FailToLoad(Gzip(good).substr(0, 200)), HasSubstr("ends early"));
  EXPECT_TRUE(Load(good));
}

TEST_F(ArchiveTest, SinkThatFailsEndsTheSaving) {
  const Status status = store_.Save({"s/one:1"}, ArchiveFormat::kDocker, [](std::string_view) {
    return Status(Fail(ErrorCode::kExhausted, "full"));
  });
  EXPECT_EQ(status.error().code(), ErrorCode::kExhausted);
  EXPECT_TRUE(fs::is_empty(directory_ / "root/images/tmp"));
}

}  // namespace
}  // namespace hull::images
