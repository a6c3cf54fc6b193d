#include "runtime/cli/output.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "runtime/cli/command.h"
#include "vmm/base/file.h"

namespace hull::cli {

int PrintResult(const Result<std::string>& text) {
  if (!text) {
    PrintError(text.error());
    return kExitFailed;
  }
  const Status written = WriteAll(STDOUT_FILENO, *text);
  return written ? 0 : ExitAfterWriteError(written.error());
}

Status Output::Write(int fd, std::string_view text) {
  constexpr size_t kEnough = 64 * 1024;
  if (fd != fd_ || text_.size() >= kEnough) HULL_TRY(Flush());
  fd_ = fd;
  text_ += text;
  return {};
}

Status Output::Flush() {
  if (text_.empty()) return {};
  const Status written = WriteAll(fd_, text_);
  text_.clear();
  return written;
}

int ExitAfterWriteError(const Error& error) {
  if (error.error_number() == EPIPE) return kExitSignalBase + SIGPIPE;
  PrintError(error);
  return kExitFailed;
}

}  // namespace hull::cli
