#include "guest-agent/cgroup.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "vmm/base/file.h"

namespace hull::agent {
namespace {

// A directory tree with files of the names and formats of the kernel's.
class CgroupTest : public testing::Test {
 protected:
  CgroupTest() {
    char name[] = "/tmp/hull-cgroup-test-XXXXXX";
    base_ = ::mkdtemp(name);
  }
  ~CgroupTest() override {
    if (std::system(("rm -rf " + base_).c_str()) != 0) std::abort();
  }
  void Put(const std::string& path, std::string_view text) {
    ASSERT_TRUE(WriteFileAtomically(base_ + "/" + path, text, 0644).has_value());
  }
  std::string base_;
};

TEST_F(CgroupTest, FlatKeysAreMatchedWhole) {
  constexpr std::string_view kText = "low 0\noom 7\noom_kill 3\noom_group_kill 1\n";
  EXPECT_EQ(FlatKeyedValue(kText, "oom_kill"), 3u);
  EXPECT_EQ(FlatKeyedValue(kText, "oom"), 7u);
  EXPECT_EQ(FlatKeyedValue(kText, "kill"), 0u);
  EXPECT_EQ(FlatKeyedValue("", "oom"), 0u);
  EXPECT_EQ(FlatKeyedValue("oom_kill", "oom_kill"), 0u);
}

TEST_F(CgroupTest, OutOfMemoryIsWhatTheKernelCounted) {
  EXPECT_FALSE(Cgroup(base_).OutOfMemory()) << "no memory controller";
  Put("memory.events", "low 0\noom 1\noom_kill 0\n");
  EXPECT_FALSE(Cgroup(base_).OutOfMemory());
  Put("memory.events", "low 0\noom 1\noom_kill 2\n");
  EXPECT_TRUE(Cgroup(base_).OutOfMemory());
}

TEST_F(CgroupTest, ProcessesOfGroupsBelowCount) {
  ASSERT_TRUE(MakeDirectories(base_ + "/a/b", 0755).has_value());
  Put("cgroup.procs", "1\n22\n");
  Put("a/cgroup.procs", "");
  Put("a/b/cgroup.procs", "333\n");
  EXPECT_EQ(Cgroup(base_).Processes(), (std::vector<pid_t>{1, 22, 333}));
  EXPECT_TRUE(Cgroup(base_ + "/none").Processes().empty());
}

TEST_F(CgroupTest, FreezingWritesAndReadsTheKernelsFiles) {
  Put("cgroup.freeze", "");
  ASSERT_TRUE(Cgroup(base_).SetFrozen(true).has_value());
  EXPECT_EQ(ReadFile(base_ + "/cgroup.freeze", 10).value(), "1");
  Put("cgroup.events", "populated 1\nfrozen 0\n");
  EXPECT_FALSE(Cgroup(base_).Frozen());
  Put("cgroup.events", "populated 1\nfrozen 1\n");
  EXPECT_TRUE(Cgroup(base_).Frozen());
  EXPECT_FALSE(Cgroup(base_ + "/none").SetFrozen(true).has_value());
}

TEST_F(CgroupTest, RemovingWhatIsGoneIsFine) {
  EXPECT_TRUE(Cgroup(base_ + "/none").Remove().has_value());
}

}  // namespace
}  // namespace hull::agent
