// Waits for files of a directory to change, for readers that follow them.
#pragma once

#include <string>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

class FileWatch {
 public:
  // Notices what is written, made, renamed and removed in `directory` from now on. kNotFound.
  static Result<FileWatch> Open(const std::string& directory);

  enum class Woken { kChanged, kTimedOut, kReaderGone };
  // Until something has changed since the last call, `timeout_ms` have passed (-1: for ever), or
  // whoever reads `output` (a pipe or socket; -1: nobody) is gone.
  Woken Wait(int timeout_ms, int output);

 private:
  explicit FileWatch(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace hull
