// Runs programs as a user would, and keeps what they say. For tests inside the lab, where `hull` is
// on the PATH and the sample images are in its store.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace hull::integration {

// How a program ended, and what it said.
struct Ended {
  int exit_code = -1;  // 128 + signal when a signal ended it
  bool timed_out = false;
  std::string out;
  std::string err;
};

struct RunOptions {
  std::string input = {};
  std::chrono::seconds limit = std::chrono::seconds(120);
  // "NAME=value", beside this process's own.
  std::vector<std::string> environment = {};
};

// Runs `command` with pipes for its three streams; ended by SIGKILL with all its children when time
// is up.
Ended RunProgram(const std::vector<std::string>& command, const RunOptions& options = {});

// `bash -c script`, for pipelines.
Ended Shell(const std::string& script, const RunOptions& options = {});

// hull run --rm ARGUMENTS...
Ended HullRun(std::vector<std::string> arguments, const RunOptions& options = {});

// A test of `hull`: when it ends, nothing of hull's may be left over.
class HullTest : public testing::Test {
 protected:
  void TearDown() override;
};

// For failure messages.
std::ostream& operator<<(std::ostream& out, const Ended& ended);

// "name value" lines, as busybox's `grep` gives them from /proc/self/status: the value behind
// `name`.
std::string Field(const std::string& text, const std::string& name);

}  // namespace hull::integration
