// Reads what container_log.h writes, across its rotations, also while it is being written.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/container_log.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

struct LogEntry {
  std::string_view time;  // "2026-11-22T18:00:00.123456789Z"
  LogStream stream = LogStream::kStdout;
  bool ends_line = true;
  std::string_view text;  // without the line feed; the container's bytes as they came
};

// One line of a log without its line feed; nullopt: it is none (a failed disk, a foreign hand).
std::optional<LogEntry> ParseLogEntry(std::string_view line);

class ContainerLogReader {
 public:
  // Begins with the last `tail` entries, or with all. `path`: of the file that is written; one that
  // is not there yet is an empty log.
  static Result<ContainerLogReader> Open(std::string path, std::optional<uint64_t> tail);

  // The next entry that is whole, valid until the next call; nullptr: there is none now, perhaps
  // later. Lines that are no entries are passed over. A line longer than a writer makes them ends
  // the reading of that file.
  Result<const LogEntry*> Next();

 private:
  struct File {
    UniqueFd fd;
    dev_t device = 0;
    ino_t inode = 0;
  };

  explicit ContainerLogReader(std::string path) : path_(std::move(path)) {}

  std::string PathOf(uint32_t number) const;
  Result<std::optional<File>> OpenNumber(uint32_t number) const;
  // From the newest to the oldest.
  Result<std::vector<File>> OpenAll() const;
  Status SkipToTail(std::vector<File>& files, uint64_t tail);
  // Goes on to the file that came after the one that is read; false: it is still the newest.
  Result<bool> Advance();
  Result<bool> Fill();

  std::string path_;
  std::optional<File> file_;
  std::string buffer_;
  size_t taken_ = 0;     // of buffer_
  bool at_end_ = false;  // of file_, when it was read last
  LogEntry entry_;
};

}  // namespace hull
