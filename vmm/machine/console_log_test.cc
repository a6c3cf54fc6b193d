#include "vmm/machine/console_log.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/file.h"

namespace hull {
namespace {

class ConsoleLogTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/hull-console-log-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    path_ = directory_ + "/console.log";
  }
  void TearDown() override {
    ::unlink(path_.c_str());
    ::rmdir(directory_.c_str());
  }
  std::string Content() { return ReadFile(path_, 1U << 20U).value(); }
  static void Append(ConsoleLog& log, std::string_view text) {
    log.Append(std::as_bytes(std::span(text.data(), text.size())));
  }

  std::string directory_;
  std::string path_;
};

TEST_F(ConsoleLogTest, AppendsToWhatIsThere) {
  Append(*ConsoleLog::Open(path_).value(), "one\n");
  Append(*ConsoleLog::Open(path_).value(), "two\n");
  EXPECT_EQ(Content(), "one\ntwo\n");
  struct stat info = {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(ConsoleLogTest, OlderHalfGoesWhenFull) {
  const auto log = ConsoleLog::Open(path_, 8).value();
  Append(*log, "1234");
  Append(*log, "5678");
  EXPECT_EQ(Content(), "12345678");
  Append(*log, "9");
  EXPECT_EQ(Content(), "56789");
  Append(*log, "abcdefghijkl");  // more than half at once: its end
  EXPECT_EQ(Content(), "6789ijkl");
}

TEST_F(ConsoleLogTest, FileThatIsTooLargeAlreadyIsCut) {
  ASSERT_TRUE(WriteFileAtomically(path_, std::string(100, 'x') + "end", 0600));
  const auto log = ConsoleLog::Open(path_, 8).value();
  Append(*log, "new");
  EXPECT_EQ(Content(), "xendnew");
}

TEST_F(ConsoleLogTest, SymbolicLinkIsNotFollowed) {
  ASSERT_EQ(::symlink("/dev/null", path_.c_str()), 0);
  EXPECT_FALSE(ConsoleLog::Open(path_).has_value());
}

}  // namespace
}  // namespace hull
