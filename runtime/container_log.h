// A container's output as a file, in the format that Kubernetes calls CRI:
//   2026-11-22T18:00:00.123456789Z stdout F a line\n
// time, stream (stdout or stderr), F for a whole line or P for a part (no line feed yet, or longer
// than kMaxLogLineBytes), one space, and the bytes as they came: lossless and unescaped.
//
// A file that has reached its size becomes container.log.1, that container.log.2, and so on;
// readers that follow notice the other inode. Only the supervisor writes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/container_record.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

// A longer line is cut into parts of this.
inline constexpr size_t kMaxLogLineBytes = 16 * 1024;

enum class LogStream { kStdout, kStderr };

class ContainerLog {
 public:
  // Opens `path` for appending, or makes it; nothing happens with a log that is disabled.
  static Result<ContainerLog> Open(std::string path, const LogOptions& options);

  // Appends what the container said just now. A line that is not finished is kept back until its
  // end, or its kMaxLogLineBytes, have come or Flush is called. Errors (a full disk) are the
  // caller's to tell; the next call tries again with what is new.
  Status Append(LogStream stream, std::string_view bytes);
  // Writes unfinished lines as parts.
  Status Flush();

 private:
  ContainerLog(std::string path, const LogOptions& options)
      : path_(std::move(path)), options_(options) {}

  Status OpenFileAgain();
  Status Write(std::string_view text);
  Status Rotate();

  std::string path_;
  LogOptions options_;
  UniqueFd fd_;
  uint64_t size_bytes_ = 0;
  std::string out_;                     // what one Append gives the file
  std::array<std::string, 2> partial_;  // of each stream
};

}  // namespace hull
