#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "vmm/base/checked.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"
#include "vmm/base/result.h"

namespace hull {
namespace {

Result<int> Half(int value) {
  if (value % 2 != 0) return Fail(ErrorCode::kInvalidArgument, "{} is odd", value);
  return value / 2;
}

Result<int> Quarter(int value) {
  HULL_ASSIGN_WITHIN("first half", const int half, Half(value));
  HULL_ASSIGN_WITHIN("second half", const int quarter, Half(half));
  return quarter;
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/hull-base-test-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TemporaryDirectory() {
    if (std::system(("rm -rf " + path_).c_str()) != 0) std::abort();
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(ResultTest, ErrorCarriesTheChainOfAttempts) {
  EXPECT_EQ(Quarter(8).value(), 2);
  Result<int> failed = Quarter(6);
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(std::move(failed).error().Within("divide").ToString(), "divide: second half: 3 is odd");
}

TEST(ErrorTest, InnermostHintWins) {
  Error error = Error(ErrorCode::kFailed, "a").WithHint("inner").WithHint("outer");
  EXPECT_EQ(error.hint(), "inner");
}

TEST(FileTest, OpenOfMissingFileNamesThePath) {
  const auto result = OpenFile("/nonexistent/file", O_RDONLY);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().ToString(), "open /nonexistent/file: No such file or directory");
  EXPECT_EQ(result.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(result.error().error_number(), ENOENT);
}

TEST(FileTest, AtomicWriteReplacesAndLeavesNothingBeside) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/state.json";
  ASSERT_TRUE(WriteFileAtomically(path, "one", 0600).has_value());
  ASSERT_TRUE(WriteFileAtomically(path, "two", 0640).has_value());
  EXPECT_EQ(ReadFile(path, 100).value(), "two");
  struct stat info = {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0640U);
  EXPECT_EQ(std::system(("test $(ls " + directory.path() + " | wc -l) = 1").c_str()), 0);
}

TEST(FileTest, ReadRefusesMoreThanItsCap) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/big";
  ASSERT_TRUE(WriteFileAtomically(path, std::string(1001, 'x'), 0600).has_value());
  const auto result = ReadFile(path, 1000);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code(), ErrorCode::kExhausted);
  EXPECT_TRUE(ReadFile(path, 1001).has_value());
}

TEST(FileTest, MakeDirectoriesMakesParentsAndRefusesAFileInTheWay) {
  const TemporaryDirectory directory;
  EXPECT_TRUE(MakeDirectories(directory.path() + "/a/b/c", 0755).has_value());
  EXPECT_TRUE(MakeDirectories(directory.path() + "/a/b/c", 0755).has_value());
  ASSERT_TRUE(WriteFileAtomically(directory.path() + "/file", "", 0600).has_value());
  EXPECT_FALSE(MakeDirectories(directory.path() + "/file", 0755).has_value());
}

TEST(CheckedTest, OverflowIsReported) {
  EXPECT_EQ(CheckedAdd<uint64_t>(1, 2), 3U);
  EXPECT_EQ(CheckedAdd<uint64_t>(UINT64_MAX, 1), std::nullopt);
  EXPECT_EQ(CheckedMultiply<uint32_t>(1U << 16U, 1U << 16U), std::nullopt);
  EXPECT_EQ(CheckedAlignUp<uint64_t>(4097, 4096), 8192U);
  EXPECT_EQ(CheckedAlignUp<uint64_t>(UINT64_MAX, 4096), std::nullopt);
}

TEST(EscapeTest, TerminalControlIsMadeVisible) {
  EXPECT_EQ(EscapeControl("a\x1b[2Jb\nc\td\x7f"), "a\\x1b[2Jb\\x0ac\td\\x7f");
  EXPECT_EQ(EscapeControl("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f");
}

TEST(LogTest, LinesBelowTheLevelAreDroppedAndControlIsEscaped) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  log::Start("test", log::Level::kInfo, ends[1]);
  log::Debug("hidden {}", 1);
  log::Warn("guest said {}", "x\ny");
  log::Start("test", log::Level::kWarn);
  ::close(ends[1]);
  char buffer[256];
  const ssize_t count = ::read(ends[0], buffer, sizeof(buffer));
  ::close(ends[0]);
  ASSERT_GT(count, 0);
  EXPECT_EQ(std::string(buffer, static_cast<size_t>(count)), "test: warning: guest said x\\x0ay\n");
}

TEST(RateLimitTest, BurstThenSilence) {
  log::RateLimit limit(2, std::chrono::seconds(3600));
  EXPECT_TRUE(limit.Allow());
  EXPECT_TRUE(limit.Allow());
  EXPECT_TRUE(limit.Allow());  // the first of the slow rate
  EXPECT_FALSE(limit.Allow());
}

}  // namespace
}  // namespace hull
