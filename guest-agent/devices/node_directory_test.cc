#include "guest-agent/devices/node_directory.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "guest-agent/devices/fake_tree_fixture.h"
#include "vmm/base/file.h"

namespace hull::agent {
namespace {

// A character device of number 0:0 is the one that anybody may make.
DeviceNode Node(const std::string& name) {
  return {.name = name};
}

class NodeDirectoryTest : public FakeTree {
 protected:
  void SetUp() override { std::filesystem::create_directories(root_ + "/dev"); }
  NodeDirectory Open() const {
    return NodeDirectory(OpenFile(root_ + "/dev", O_PATH | O_DIRECTORY).value());
  }
  struct stat Status(const std::string& path) const {
    struct stat status {};
    ::lstat((root_ + path).c_str(), &status);
    return status;
  }
};

TEST_F(NodeDirectoryTest, NodeIsMadeWithItsModeWhateverTheUmask) {
  DeviceNode node = Node("card0");
  node.mode = 0666;
  const mode_t before = ::umask(077);
  const hull::Status made = Open().Make(node);
  EXPECT_EQ(::umask(before), 077u);
  ASSERT_TRUE(made.has_value()) << made.error().ToString();
  EXPECT_EQ(Status("/dev/card0").st_mode, S_IFCHR | 0666u);
}

TEST_F(NodeDirectoryTest, DirectoriesAreMadeOnTheWay) {
  const NodeDirectory directory = Open();
  ASSERT_TRUE(directory.Make(Node("dri/by-path/card0")).has_value());
  EXPECT_TRUE(S_ISCHR(Status("/dev/dri/by-path/card0").st_mode));
  EXPECT_TRUE(directory.Make(Node("dri/by-path/card0")).has_value()) << "again";
  ASSERT_TRUE(directory.Remove(Node("dri/by-path/card0")).has_value());
  EXPECT_EQ(Status("/dev/dri/by-path/card0").st_mode, 0u);
  EXPECT_TRUE(directory.Remove(Node("dri/by-path/card0")).has_value()) << "again";
}

TEST_F(NodeDirectoryTest, WhatTheContainerPutThereStays) {
  const NodeDirectory directory = Open();
  Write("/dev/file", "mine");
  Link("/dev/link", "../outside");
  Link("/dev/dangling", root_ + "/made");
  std::filesystem::create_directories(root_ + "/dev/directory");
  for (const char* name : {"file", "link", "dangling", "directory"}) {
    EXPECT_EQ(directory.Make(Node(name)).error().code(), ErrorCode::kAlreadyExists) << name;
    EXPECT_TRUE(directory.Remove(Node(name)).has_value());
    EXPECT_NE(Status(std::string("/dev/") + name).st_mode, 0u) << name;
  }
  EXPECT_EQ(Status("/made").st_mode, 0u);
  EXPECT_EQ(ReadFile(root_ + "/dev/file", 100).value(), "mine");
}

TEST_F(NodeDirectoryTest, LinksInTheMiddleLeadNowhere) {
  std::filesystem::create_directories(root_ + "/outside");
  std::filesystem::create_directories(root_ + "/dev/real");
  Link("/dev/out", "../outside");
  Link("/dev/absolute", root_ + "/outside");
  Link("/dev/inside", "real");
  Write("/dev/file", "x");
  const NodeDirectory directory = Open();
  for (const char* name : {"out/x", "absolute/x", "inside/x", "file/x"}) {
    EXPECT_FALSE(directory.Make(Node(name)).has_value()) << name;
  }
  EXPECT_TRUE(std::filesystem::is_empty(root_ + "/outside"));
  EXPECT_TRUE(std::filesystem::is_empty(root_ + "/dev/real"));
  for (const char* name : {"../x", "a/../../x", "", "."}) {
    EXPECT_FALSE(directory.Make(Node(name)).has_value()) << name;
  }
}

TEST_F(NodeDirectoryTest, ExchangedDirectoryIsNotTheOneThatIsHeld) {
  const NodeDirectory directory = Open();
  std::filesystem::create_directories(root_ + "/outside");
  std::filesystem::rename(root_ + "/dev", root_ + "/old");
  Link("/dev", "outside");
  ASSERT_TRUE(directory.Make(Node("x")).has_value());
  EXPECT_TRUE(S_ISCHR(Status("/old/x").st_mode));
  EXPECT_TRUE(std::filesystem::is_empty(root_ + "/outside"));
}

TEST_F(NodeDirectoryTest, OnlyATmpfsOfItsOwnIsADev) {
  const UniqueFd root = OpenFile(root_, O_PATH | O_DIRECTORY).value();
  EXPECT_EQ(NodeDirectory::Open(root.get()).error().code(), ErrorCode::kInvalidArgument);
  std::filesystem::remove(root_ + "/dev");
  EXPECT_FALSE(NodeDirectory::Open(root.get()).has_value());
  Link("/dev", "/dev/shm");  // a tmpfs, but a link's
  EXPECT_FALSE(NodeDirectory::Open(root.get()).has_value());
}

}  // namespace
}  // namespace hull::agent
