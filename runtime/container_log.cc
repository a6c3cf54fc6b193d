#include "runtime/container_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "vmm/base/file.h"

namespace hull {
namespace {

constexpr std::array<std::string_view, 2> kStreamNames = {"stdout", "stderr"};
// "2026-11-22T18:00:00." before the nine digits, "Z " behind them.
constexpr size_t kNanosecondDigits = 9;

std::string TimeNow() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:0{}}Z ", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     now.tv_nsec, kNanosecondDigits);
}

}  // namespace

Result<ContainerLog> ContainerLog::Open(std::string path, const LogOptions& options) {
  ContainerLog log(std::move(path), options);
  if (!options.disabled) HULL_TRY(log.OpenFileAgain());
  return log;
}

Status ContainerLog::OpenFileAgain() {
  HULL_ASSIGN(fd_, OpenFile(path_, O_WRONLY | O_CREAT | O_APPEND, 0600));
  HULL_ASSIGN(size_bytes_, FileSizeBytes(fd_.get(), path_));
  return {};
}

Status ContainerLog::Rotate() {
  for (uint32_t number = options_.max_files; number-- > 1;) {
    const std::string from = number == 1 ? path_ : fmt::format("{}.{}", path_, number - 1);
    const std::string to = fmt::format("{}.{}", path_, number);
    if (rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT) {
      return FailErrno("rename {} to {}", from, to);
    }
  }
  if (options_.max_files <= 1) unlink(path_.c_str());
  return OpenFileAgain();
}

Status ContainerLog::Write(std::string_view text) {
  if (text.empty()) return {};
  if (!fd_.valid()) HULL_TRY(OpenFileAgain());
  if (size_bytes_ > 0 && size_bytes_ + text.size() > options_.max_bytes) HULL_TRY(Rotate());
  if (Status written = WriteAll(fd_.get(), text); !written) {
    // No half of a line, which the next would seem to be the rest of.
    if (ftruncate(fd_.get(), static_cast<off_t>(size_bytes_)) != 0) fd_.Reset();
    return Fail(std::move(written).error().Within("write the container's log"));
  }
  size_bytes_ += text.size();
  return {};
}

Status ContainerLog::Append(LogStream stream, std::string_view bytes) {
  if (options_.disabled || bytes.empty()) return {};
  const std::string prefix =
      fmt::format("{}{} ", TimeNow(), kStreamNames[static_cast<size_t>(stream)]);
  std::string& partial = partial_[static_cast<size_t>(stream)];
  out_.clear();
  while (!bytes.empty()) {
    const size_t room = kMaxLogLineBytes - partial.size();
    // SAFETY: the search stays within `bytes`.
    const void* found = std::memchr(bytes.data(), '\n', std::min(bytes.size(), room + 1));
    const bool whole = found != nullptr;
    const size_t size = whole ? static_cast<size_t>(static_cast<const char*>(found) - bytes.data())
                              : std::min(bytes.size(), room);
    if (!whole && size < room) {
      partial.append(bytes);
      break;
    }
    if (size_bytes_ + out_.size() + prefix.size() + partial.size() + size > options_.max_bytes) {
      // What is there fills this file; the next line begins another.
      HULL_TRY(Write(std::exchange(out_, {})));
    }
    out_.append(prefix).append(whole ? "F " : "P ").append(partial).append(bytes.substr(0, size));
    out_ += '\n';
    partial.clear();
    bytes.remove_prefix(size + (whole ? 1 : 0));
  }
  return Write(out_);
}

Status ContainerLog::Flush() {
  if (options_.disabled) return {};
  out_.clear();
  for (size_t stream = 0; stream < partial_.size(); ++stream) {
    if (partial_[stream].empty()) continue;
    out_ += fmt::format("{}{} P {}\n", TimeNow(), kStreamNames[stream], partial_[stream]);
    partial_[stream].clear();
  }
  return Write(out_);
}

}  // namespace hull
