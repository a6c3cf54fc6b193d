#include "images/import/pack_files.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "images/import/testing/erofs_reader.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using testing::ErofsFile;
using ::testing::HasSubstr;

class PackFilesTest : public ::testing::Test {
 protected:
  PackFilesTest() {
    std::string pattern = ::testing::TempDir() + "hull-pack.XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  ~PackFilesTest() override { fs::remove_all(directory_); }

  Status Pack(const std::vector<PackSource>& sources, const PackLimits& limits) const {
    HULL_ASSIGN(const UniqueFd image,
                OpenFile(directory_ / "image", O_RDWR | O_CREAT | O_TRUNC, 0600));
    return PackFiles(sources, image.get(), limits);
  }
  std::map<std::string, ErofsFile> Packed(const std::vector<PackSource>& sources) const {
    const Status packed = Pack(sources, {.bytes = 1U << 30U, .entries = 1000});
    EXPECT_TRUE(packed) << packed.error().ToString();
    std::stringstream text;
    text << std::ifstream(directory_ / "image", std::ios::binary).rdbuf();
    return testing::ReadErofs(text.str());
  }

  fs::path directory_;
};

TEST_F(PackFilesTest, EverySourceIsThereWithAllThatIsBelow) {
  const fs::path lib = directory_ / "lib";
  fs::create_directories(lib / "sub/empty");
  std::ofstream(lib / "sub/a.so") << std::string(100'000, 'l');
  std::ofstream(lib / "none");
  ASSERT_EQ(chmod((lib / "sub/a.so").c_str(), 0751), 0);
  ASSERT_EQ(chmod((lib / "sub").c_str(), 0500), 0);
  fs::create_symlink("sub/a.so", lib / "a.so");
  fs::create_symlink("/nowhere", lib / "away");
  ASSERT_EQ(mkfifo((lib / "pipe").c_str(), 0600), 0);
  fs::create_symlink(lib / "sub/a.so", directory_ / "tool");
  const auto files = Packed({{lib.string()}, {(directory_ / "tool").string()}});
  std::vector<std::string> paths;
  for (const auto& [path, file] : files) paths.push_back(path);
  EXPECT_THAT(paths, ElementsAre("", "0", "0/a.so", "0/away", "0/none", "0/sub", "0/sub/a.so",
                                 "0/sub/empty", "1"));
  EXPECT_EQ(files.at("").mode, uint32_t{S_IFDIR | 0755});
  EXPECT_EQ(files.at("0/sub").mode, uint32_t{S_IFDIR | 0500});
  EXPECT_EQ(files.at("0/sub/a.so").mode, uint32_t{S_IFREG | 0751});
  EXPECT_EQ(files.at("0/sub/a.so").content, std::string(100'000, 'l'));
  EXPECT_EQ(files.at("0/sub/a.so").uid, geteuid());
  EXPECT_EQ(files.at("0/none").content, "");
  EXPECT_EQ(files.at("0/away").content, "/nowhere");
  // A source that is a link is what it leads to.
  EXPECT_EQ(files.at("1").content, std::string(100'000, 'l'));
}

TEST_F(PackFilesTest, WhatIsMountedBelowComesOnlyWhenAskedFor) {
  const fs::path below = directory_ / "root/below";
  fs::create_directories(below);
  std::ofstream(below / "beneath") << "x";
  // In a mount namespace of its own, with the thread that made it.
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("none", below.c_str(), "tmpfs", 0, nullptr) != 0) {
    GTEST_SKIP() << "root is needed";
  }
  std::ofstream(below / "mounted") << "x";
  const auto one = Packed({{(directory_ / "root").string(), false}});
  const auto all = Packed({{(directory_ / "root").string(), true}});
  ASSERT_EQ(umount(below.c_str()), 0);
  EXPECT_TRUE(one.contains("0/below"));
  EXPECT_FALSE(one.contains("0/below/mounted"));
  EXPECT_TRUE(all.contains("0/below/mounted"));
}

TEST_F(PackFilesTest, ThereAreLimits) {
  for (int i = 0; i < 20; ++i)
    std::ofstream(directory_ / std::to_string(i)) << std::string(9000, 'x');
  const std::string path = directory_.string();
  EXPECT_EQ(Pack({{path}}, {.bytes = 1U << 20U, .entries = 10}).error().code(),
            ErrorCode::kExhausted);
  EXPECT_EQ(Pack({{path}}, {.bytes = 100'000, .entries = 100}).error().code(),
            ErrorCode::kExhausted);
  fs::path deep = directory_ / "deep";
  for (int i = 0; i < 200; ++i) deep /= "d";
  fs::create_directories(deep);
  EXPECT_EQ(Pack({{path + "/deep"}}, {.bytes = 1U << 20U, .entries = 1000}).error().code(),
            ErrorCode::kExhausted);
}

TEST_F(PackFilesTest, WhatIsNotThereOrNoFileIsNamed) {
  const Status gone = Pack({{"/nonexistent/x"}}, {.bytes = 1U << 20U, .entries = 10});
  ASSERT_FALSE(gone);
  EXPECT_THAT(gone.error().ToString(), HasSubstr("/nonexistent/x: No such file"));
  EXPECT_EQ(Pack({{"/dev/null"}}, {.bytes = 1U << 20U, .entries = 10}).error().code(),
            ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace hull::images
