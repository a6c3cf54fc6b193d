#include "runtime/container_log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "vmm/base/file.h"

namespace hull {
namespace {

constexpr size_t kBlockBytes = 64 * 1024;
// Time, stream, flag and text of the longest line that a writer makes, with room.
constexpr size_t kMaxLineBytes = kMaxLogLineBytes + 128;
// More rotated files than anybody configures.
constexpr uint32_t kMaxNumber = 1000;

// Where the entry begins that is the `count`th from the end of the file; the number of those that
// the file does not have comes back in `count`.
Result<off_t> FindTail(int fd, std::string_view name, uint64_t& count) {
  HULL_ASSIGN(const uint64_t size, FileSizeBytes(fd, name));
  std::string block(kBlockBytes, '\0');
  uint64_t end = size;
  // The line feed at the very end ends the last entry.
  bool is_last = true;
  while (end > 0 && count > 0) {
    const uint64_t start = end > kBlockBytes ? end - kBlockBytes : 0;
    const ssize_t got = pread(fd, block.data(), end - start, static_cast<off_t>(start));
    if (got < 0) return FailErrno("read {}", name);
    if (static_cast<uint64_t>(got) < end - start) break;
    for (uint64_t at = end; at > start; --at) {
      if (block[at - start - 1] != '\n') {
        is_last = false;
        continue;
      }
      if (is_last) {
        is_last = false;
        continue;
      }
      if (--count == 0) return static_cast<off_t>(at);
    }
    end = start;
  }
  if (size > 0 && count > 0) --count;
  return 0;
}

}  // namespace

std::optional<LogEntry> ParseLogEntry(std::string_view line) {
  LogEntry entry;
  const size_t time_end = line.find(' ');
  if (time_end == std::string_view::npos) return std::nullopt;
  entry.time = line.substr(0, time_end);
  line.remove_prefix(time_end + 1);
  if (line.starts_with("stderr ")) {
    entry.stream = LogStream::kStderr;
  } else if (!line.starts_with("stdout ")) {
    return std::nullopt;
  }
  line.remove_prefix(std::string_view("stdout ").size());
  if (line.size() < 2 || (line[0] != 'F' && line[0] != 'P') || line[1] != ' ') return std::nullopt;
  entry.ends_line = line[0] == 'F';
  entry.text = line.substr(2);
  return entry;
}

std::string ContainerLogReader::PathOf(uint32_t number) const {
  return number == 0 ? path_ : fmt::format("{}.{}", path_, number);
}

Result<std::optional<ContainerLogReader::File>> ContainerLogReader::OpenNumber(
    uint32_t number) const {
  Result<UniqueFd> fd = OpenFile(PathOf(number), O_RDONLY);
  if (!fd && fd.error().code() == ErrorCode::kNotFound) return std::optional<File>();
  if (!fd) return Fail(std::move(fd).error());
  struct stat status {};
  if (fstat(fd->get(), &status) != 0) return FailErrno("stat {}", PathOf(number));
  return std::optional<File>(File{std::move(*fd), status.st_dev, status.st_ino});
}

Result<std::vector<ContainerLogReader::File>> ContainerLogReader::OpenAll() const {
  std::vector<File> files;
  for (uint32_t number = 0; number < kMaxNumber; ++number) {
    HULL_ASSIGN(std::optional<File> file, OpenNumber(number));
    // Between two renames of a rotation there is none of one number.
    if (!file && number > 1) break;
    if (!file) continue;
    // A rotation meanwhile shows the same file twice.
    const bool known = std::any_of(files.begin(), files.end(),
                                   [&](const File& it) { return it.inode == file->inode; });
    if (!known) files.push_back(std::move(*file));
  }
  return files;
}

Result<ContainerLogReader> ContainerLogReader::Open(std::string path,
                                                    std::optional<uint64_t> tail) {
  ContainerLogReader reader(std::move(path));
  HULL_ASSIGN(std::vector<File> files, reader.OpenAll());
  if (files.empty()) return reader;
  if (tail) {
    HULL_TRY(reader.SkipToTail(files, *tail));
  } else {
    reader.file_ = std::move(files.back());
  }
  return reader;
}

Status ContainerLogReader::SkipToTail(std::vector<File>& files, uint64_t tail) {
  if (tail == 0 && lseek(files.front().fd.get(), 0, SEEK_END) < 0) {
    return FailErrno("seek {}", path_);
  }
  if (tail == 0) {
    file_ = std::move(files.front());
    return {};
  }
  for (File& file : files) {
    HULL_ASSIGN(const off_t start, FindTail(file.fd.get(), path_, tail));
    if (lseek(file.fd.get(), start, SEEK_SET) < 0) return FailErrno("seek {}", path_);
    file_ = std::move(file);
    if (tail == 0) break;
  }
  return {};
}

Result<bool> ContainerLogReader::Advance() {
  if (!file_) {
    HULL_ASSIGN(std::vector<File> files, OpenAll());
    if (files.empty()) return false;
    file_ = std::move(files.back());
    return true;
  }
  HULL_ASSIGN(std::vector<File> files, OpenAll());
  const auto is_mine = [this](const File& file) {
    return file.inode == file_->inode && file.device == file_->device;
  };
  const auto mine = std::find_if(files.begin(), files.end(), is_mine);
  // No file at all: the container is being removed. Mine is the newest: nothing has been rotated.
  if (files.empty() || mine == files.begin()) return false;
  // Mine has been rotated away altogether: the oldest that is left comes next.
  File& next = mine == files.end() ? files.back() : *std::prev(mine);
  file_ = std::move(next);
  return true;
}

// Reads on; false: there is nothing more now.
Result<bool> ContainerLogReader::Fill() {
  if (taken_ > 0) buffer_.erase(0, std::exchange(taken_, 0));
  for (;;) {
    if (file_) {
      const size_t had = buffer_.size();
      buffer_.resize(had + kBlockBytes);
      const ssize_t got = read(file_->fd.get(), buffer_.data() + had, kBlockBytes);
      buffer_.resize(had + (got > 0 ? static_cast<size_t>(got) : 0));
      if (got < 0) return FailErrno("read {}", path_);
      if (got > 0) return true;
    }
    // Rotated first, then read once more to its end: whatever was written before is seen.
    if (!at_end_) {
      at_end_ = true;
      HULL_ASSIGN(std::optional<File> newest, OpenNumber(0));
      if (!file_ || !newest || newest->inode != file_->inode) continue;
      at_end_ = false;
      return false;
    }
    at_end_ = false;
    HULL_ASSIGN(const bool moved, Advance());
    if (!moved) return false;
    buffer_.clear();
  }
}

Result<const LogEntry*> ContainerLogReader::Next() {
  for (;;) {
    const size_t end = buffer_.find('\n', taken_);
    if (end == std::string::npos) {
      // No writer of hull's makes such a line.
      if (buffer_.size() - taken_ > kMaxLineBytes) taken_ = buffer_.size();
      HULL_ASSIGN(const bool more, Fill());
      if (!more) return nullptr;
      continue;
    }
    const std::optional<LogEntry> entry =
        ParseLogEntry(std::string_view(buffer_).substr(taken_, end - taken_));
    taken_ = end + 1;
    if (!entry) continue;
    entry_ = *entry;
    return &entry_;
  }
}

}  // namespace hull
