// What a command ends with: its text on standard output, or its error.
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.h"

namespace hull::cli {

// The exit code: 0, or kExitFailed when there is an error or standard output cannot be written.
int PrintResult(const Result<std::string>& text);

// Gathers what goes to standard output and standard error, and writes it in that order.
class Output {
 public:
  // `fd`: STDOUT_FILENO or STDERR_FILENO.
  Status Write(int fd, std::string_view text);
  Status Flush();

 private:
  int fd_ = -1;
  std::string text_;
};

// After a write has failed: 141 without a word when the reader is gone, as the signal would do it.
int ExitAfterWriteError(const Error& error);

}  // namespace hull::cli
