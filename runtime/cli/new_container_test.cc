// A container and the removal of its image at one time, in every order.
#include "runtime/cli/new_container.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>

#include "images/store/collect.h"
#include "images/store/file_lock.h"
#include "images/store/records.h"
#include "images/store/testing/one_layer_image.h"
#include "runtime/cli/image_store.h"

namespace hull::cli {
namespace {

namespace fs = std::filesystem;

class NewContainerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "new-container.XXXXXX";
    directory_ = mkdtemp(pattern.data());
    HostLayout layout;
    layout.store_root = directory_ + "/store";
    layout.run_root = directory_ + "/run";
    containers_ = std::make_unique<Containers>(layout);
    paths_ = std::make_unique<images::StorePaths>(layout.store_root + "/images");
    request_.image = "test";
    request_.pull = PullPolicy::kNever;
    request_.container.image = "test";
    request_.container.name = "one";
    request_.cidfile = directory_ + "/cid";
    AddImage('a');
  }
  void TearDown() override { fs::remove_all(directory_); }

  static std::string Digest(char digit) { return "sha256:" + std::string(64, digit); }

  void AddImage(char digit) const {
    images::testing::WriteOneLayerImage(*paths_, digit, R"(["true"])");
  }
  // What `hull rmi -f` does once it has asked who uses what.
  void TakeAway(char digit) {
    fs::remove(paths_->ImageFile(Digest(digit)));
    fs::remove(paths_->Layer(Digest(static_cast<char>(digit + 1))));
    std::ofstream(paths_->Names()) << images::EncodeNames({});
  }
  void RemoveImage() {
    Result<images::Store> store = OpenImageStore(containers_->layout());
    ASSERT_TRUE(store);
    const Result<images::RemovalReport> removed = store->Remove("test", true);
    ASSERT_TRUE(removed) << removed.error().ToString();
  }
  void ExpectNothingMade() const {
    EXPECT_TRUE(fs::is_empty(directory_ + "/store/containers"));
    EXPECT_TRUE(fs::is_empty(directory_ + "/store/names"));
    EXPECT_FALSE(fs::exists(request_.cidfile));
  }
  // MakeNewContainer while a removal has asked who uses what: `meanwhile` happens when the record
  // is there, before the removal ends.
  Result<ContainerRecord> MakeDuringRemoval(const std::function<void()>& meanwhile) {
    NewContainer prepared = PrepareNewContainer(*containers_, request_).value();
    const std::string record = containers_->RecordPath(prepared.record.id);
    fs::create_directories(paths_->Locks());
    std::optional<images::FileLock> removal(images::LockStore(*paths_).value());
    std::optional<Result<ContainerRecord>> made;
    std::atomic<bool> done = false;
    std::thread maker([&] {
      made = MakeNewContainer(*containers_, request_, std::move(prepared), nullptr);
      done = true;
    });
    for (int waited = 0; !fs::exists(record) && !done && waited < 10'000; ++waited) usleep(1000);
    usleep(50'000);
    EXPECT_FALSE(done) << "it has not waited for the removal";
    meanwhile();
    removal.reset();
    maker.join();
    return *made;
  }

  std::string directory_;
  std::unique_ptr<Containers> containers_;
  std::unique_ptr<images::StorePaths> paths_;
  RunRequest request_;
};

TEST_F(NewContainerTest, ImageForAnotherPlatformIsNotTheOneThatIsAskedFor) {
  request_.platform = "linux/arm64";
  const Result<NewContainer> other = PrepareNewContainer(*containers_, request_);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(
      other.error().message(),
      "image with reference test:latest was found but does not provide the specified platform "
      "(linux/arm64)");
  for (const char* platform : {"", "linux/amd64", "linux/x86_64", "linux", "amd64"}) {
    request_.platform = platform;
    EXPECT_TRUE(PrepareNewContainer(*containers_, request_)) << platform;
  }
  request_.platform = "nonsense";
  EXPECT_FALSE(PrepareNewContainer(*containers_, request_));
}

TEST_F(NewContainerTest, AnImageThatWentBeforeTheRecordIsNotThere) {
  NewContainer prepared = PrepareNewContainer(*containers_, request_).value();
  RemoveImage();
  const Result<ContainerRecord> made =
      MakeNewContainer(*containers_, request_, std::move(prepared), nullptr);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().ToString(), "No such image: test");
  ExpectNothingMade();
}

TEST_F(NewContainerTest, WhoHasTheRunDirectoryUnmakesItToo) {
  NewContainer prepared = PrepareNewContainer(*containers_, request_).value();
  const RunDirectory run = containers_->LockRunDirectory(prepared.record.id).value();
  RemoveImage();
  EXPECT_FALSE(MakeNewContainer(*containers_, request_, std::move(prepared), &run));
  ExpectNothingMade();
}

TEST_F(NewContainerTest, ARemovalThatAskedBeforeTheRecordWasThere) {
  const Result<ContainerRecord> made = MakeDuringRemoval([this] { TakeAway('a'); });
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().ToString(), "No such image: test");
  ExpectNothingMade();
}

TEST_F(NewContainerTest, WhatTheNameMeansNowIsTaken) {
  const Result<ContainerRecord> made = MakeDuringRemoval([this] {
    TakeAway('a');
    AddImage('d');
  });
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_EQ(made->image_id, Digest('d'));
  EXPECT_EQ(containers_->LoadId(made->id)->image_id, Digest('d'));
}

TEST_F(NewContainerTest, ARemovalBehindTheRecordLeavesTheLayers) {
  const ContainerRecord made = CreateContainer(*containers_, request_).value();
  RemoveImage();
  EXPECT_FALSE(fs::exists(paths_->Names()) && PrepareNewContainer(*containers_, request_));
  for (const std::string& layer : made.machine.layer_files) {
    EXPECT_TRUE(fs::exists(paths_->Layers() + "/" + layer));
  }
}

}  // namespace
}  // namespace hull::cli
