#include "runtime/container_log.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "runtime/events.h"

namespace hull {
namespace {

namespace fs = std::filesystem;

class ContainerLogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "log.XXXXXX";
    directory_ = mkdtemp(pattern.data());
    path_ = directory_ + "/container.log";
  }
  void TearDown() override { fs::remove_all(directory_); }

  static std::string Slurp(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  // Without the times, which are checked here.
  static std::string Said(const std::string& path) {
    constexpr std::string_view kTime = "dddd-dd-ddTdd:dd:dd.dddddddddZ ";
    std::istringstream lines(Slurp(path));
    std::string said;
    for (std::string line; std::getline(lines, line);) {
      std::string shape = line.substr(0, kTime.size());
      for (char& c : shape) c = c >= '0' && c <= '9' ? 'd' : c;
      EXPECT_EQ(shape, kTime);
      said += line.substr(kTime.size()) + "\n";
    }
    return said;
  }

  std::string directory_;
  std::string path_;
};

TEST_F(ContainerLogTest, LinesAreWholeAndStreamsApart) {
  ContainerLog log = ContainerLog::Open(path_, {}).value();
  ASSERT_TRUE(log.Append(LogStream::kStdout, "one\ntw"));
  ASSERT_TRUE(log.Append(LogStream::kStderr, "err\n\n"));
  ASSERT_TRUE(log.Append(LogStream::kStdout, "o\n"));
  EXPECT_EQ(Said(path_), "stdout F one\nstderr F err\nstderr F \nstdout F two\n");
}

TEST_F(ContainerLogTest, WhatHasNoLineFeedIsAPart) {
  ContainerLog log = ContainerLog::Open(path_, {}).value();
  ASSERT_TRUE(log.Append(LogStream::kStdout, "prompt> "));
  EXPECT_EQ(Said(path_), "");
  ASSERT_TRUE(log.Flush());
  ASSERT_TRUE(log.Flush());
  EXPECT_EQ(Said(path_), "stdout P prompt> \n");
}

TEST_F(ContainerLogTest, ALongLineIsCutAndLosesNothing) {
  ContainerLog log = ContainerLog::Open(path_, {}).value();
  const std::string line(3 * kMaxLogLineBytes + 5, 'x');
  ASSERT_TRUE(log.Append(LogStream::kStdout, line.substr(0, 7)));
  ASSERT_TRUE(log.Append(LogStream::kStdout, line.substr(7) + "\nnext\n"));
  const std::string part(kMaxLogLineBytes, 'x');
  EXPECT_EQ(Said(path_), "stdout P " + part + "\nstdout P " + part + "\nstdout P " + part +
                             "\nstdout F xxxxx\nstdout F next\n");
}

TEST_F(ContainerLogTest, AFullFileIsPutAside) {
  LogOptions options;
  options.max_bytes = 100;
  options.max_files = 3;
  ContainerLog log = ContainerLog::Open(path_, options).value();
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(log.Append(LogStream::kStdout, "line " + std::to_string(i) + "\n"));
  }
  // Two lines of 45 bytes fit.
  EXPECT_EQ(Said(path_), "stdout F line 6\nstdout F line 7\n");
  EXPECT_EQ(Said(path_ + ".1"), "stdout F line 4\nstdout F line 5\n");
  EXPECT_EQ(Said(path_ + ".2"), "stdout F line 2\nstdout F line 3\n");
  EXPECT_FALSE(fs::exists(path_ + ".3"));
}

TEST_F(ContainerLogTest, OneLargeAppendFillsManyFiles) {
  LogOptions options;
  options.max_bytes = 100;
  options.max_files = 2;
  ContainerLog log = ContainerLog::Open(path_, options).value();
  ASSERT_TRUE(log.Append(LogStream::kStdout, "line 0\nline 1\nline 2\nline 3\nline 4\n"));
  EXPECT_EQ(Said(path_), "stdout F line 4\n");
  EXPECT_EQ(Said(path_ + ".1"), "stdout F line 2\nstdout F line 3\n");
}

TEST_F(ContainerLogTest, OneFileAloneIsBegunAgain) {
  LogOptions options;
  options.max_bytes = 100;
  options.max_files = 1;
  ContainerLog log = ContainerLog::Open(path_, options).value();
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(log.Append(LogStream::kStdout, std::string(40, 'x') + "\n"));
  EXPECT_EQ(Said(path_), "stdout F " + std::string(40, 'x') + "\n");
  EXPECT_FALSE(fs::exists(path_ + ".1"));
}

TEST_F(ContainerLogTest, ADisabledLogIsNoFile) {
  LogOptions options;
  options.disabled = true;
  ContainerLog log = ContainerLog::Open(path_, options).value();
  ASSERT_TRUE(log.Append(LogStream::kStdout, "x\n"));
  ASSERT_TRUE(log.Flush());
  EXPECT_FALSE(fs::exists(path_));
}

// What a full disk does: a part of the text is taken, then none.
TEST_F(ContainerLogTest, WhatDoesNotFitLeavesNoHalfLines) {
  ContainerLog log = ContainerLog::Open(path_, {}).value();
  ASSERT_TRUE(log.Append(LogStream::kStdout, "before\n"));
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  signal(SIGXFSZ, SIG_IGN);
  const rlimit little{60, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &little), 0);
  const Status lost = log.Append(LogStream::kStdout, "what is lost\n");
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  signal(SIGXFSZ, SIG_DFL);
  ASSERT_FALSE(lost);
  EXPECT_NE(lost.error().ToString().find("write the container's log"), std::string::npos);
  ASSERT_TRUE(log.Append(LogStream::kStdout, "after\n"));
  EXPECT_EQ(Said(path_), "stdout F before\nstdout F after\n");
}

TEST_F(ContainerLogTest, ARestartAppends) {
  ASSERT_TRUE(ContainerLog::Open(path_, {})->Append(LogStream::kStdout, "first\n"));
  ASSERT_TRUE(ContainerLog::Open(path_, {})->Append(LogStream::kStdout, "second\n"));
  EXPECT_EQ(Said(path_), "stdout F first\nstdout F second\n");
}

TEST(EventsTest, AnEventHasDockersShape) {
  EXPECT_EQ(
      WriteEvent({"container", "die", "abc", {{"image", "box"}, {"exitCode", "3"}}, 5'000'000'007}),
      R"({"status":"die","id":"abc","from":"box","Type":"container","Action":"die","Actor":)"
      R"({"ID":"abc","Attributes":{"image":"box","exitCode":"3"}},"scope":"local","time":5,)"
      R"("timeNano":5000000007})"
      "\n");
}

TEST_F(ContainerLogTest, AFullFileOfEventsIsPutAside) {
  HostLayout layout;
  layout.run_root = directory_ + "/run";
  RecordEvent(layout, {"image", "pull", "box", {}, 0});
  fs::resize_file(EventsPath(layout), kMaxEventsBytes + 1);
  RecordEvent(layout, {"image", "tag", "box", {}, 0});
  EXPECT_EQ(fs::file_size(EventsPath(layout) + ".1"), kMaxEventsBytes + 1);
  EXPECT_NE(Slurp(EventsPath(layout)).find("\"tag\""), std::string::npos);
}

}  // namespace
}  // namespace hull
