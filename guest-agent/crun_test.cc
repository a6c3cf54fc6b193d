#include "guest-agent/crun.h"

#include <gtest/gtest.h>

namespace hull::agent {
namespace {

TEST(CrunErrorTest, MissingCommandSaysWhatDockerSays) {
  const Error error = CrunError(
      R"({"msg":"executable file `foo` not found in $PATH: No such file or directory","level":"error","time":"x"})"
      "\n",
      "foo");
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_EQ(error.ToString(), "exec: \"foo\": executable file not found in $PATH");
}

TEST(CrunErrorTest, MissingPathSaysWhatDockerSays) {
  const Error error = CrunError(
      "{\"msg\":\"executable file `/foo` not found in $PATH: No such file or "
      "directory\",\"level\":\"error\"}",
      "/foo");
  EXPECT_EQ(error.code(), ErrorCode::kNotFound);
  EXPECT_EQ(error.ToString(), "exec: \"/foo\": stat /foo: no such file or directory");
}

TEST(CrunErrorTest, CommandThatCannotBeExecutedIsPermissionDenied) {
  const Error error =
      CrunError(R"({"msg":"open executable: Permission denied","level":"error"})", "/etc/passwd");
  EXPECT_EQ(error.code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(error.ToString(), "exec: \"/etc/passwd\": permission denied");
}

TEST(CrunErrorTest, AMissingDirectoryIsLikeAMissingCommand) {
  const auto error = [](const std::string& reason) {
    return CrunError(R"({"msg":"chdir `/no`: )" + reason + R"(","level":"error"})", "pwd");
  };
  EXPECT_EQ(error("No such file or directory").code(), ErrorCode::kNotFound);
  EXPECT_EQ(error("No such file or directory").ToString(),
            "chdir to cwd (\"/no\") failed: no such file or directory");
  EXPECT_EQ(error("Permission denied").code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(error("Too many open files").ToString(), "crun: chdir `/no`: Too many open files");
  EXPECT_EQ(CrunError(R"({"msg":"chdir `: No such file","level":"error"})", "pwd").code(),
            ErrorCode::kFailed);
}

TEST(CrunErrorTest, AnEmptyCommandIsNowhere) {
  EXPECT_EQ(
      CrunError(R"({"msg":"open executable: Operation not permitted","level":"error"})", "").code(),
      ErrorCode::kNotFound);
}

TEST(CrunErrorTest, TheLastErrorCountsAndWarningsDoNot) {
  const Error error = CrunError(
      "{\"msg\":\"one\",\"level\":\"error\"}\n{\"msg\":\"two\",\"level\":\"error\"}\n"
      "{\"msg\":\"three\",\"level\":\"warning\"}\n",
      "x");
  EXPECT_EQ(error.code(), ErrorCode::kFailed);
  EXPECT_EQ(error.ToString(), "crun: two");
}

TEST(CrunErrorTest, PlainLinesAndNothingAtAll) {
  EXPECT_EQ(CrunError("2026: something broke\r\n", "x").ToString(), "crun: 2026: something broke");
  EXPECT_EQ(CrunError("", "x").ToString(), "crun failed without a word");
  EXPECT_EQ(CrunError("{broken\n", "x").ToString(), "crun failed without a word");
}

TEST(CrunErrorTest, ControlCharactersOfAnImageDoNotPass) {
  const Error error = CrunError("x", "y");
  const Error evil = CrunError("evil \x1b[2J text\n", "y");
  EXPECT_EQ(evil.ToString().find('\x1b'), std::string::npos);
  EXPECT_EQ(error.code(), ErrorCode::kFailed);
}

}  // namespace
}  // namespace hull::agent
