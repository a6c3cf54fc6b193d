#include "runtime/events_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json/parse.hpp>

#include "runtime/events.h"
#include "vmm/base/file.h"

namespace hull {
namespace {

constexpr size_t kBlockBytes = 64 * 1024;
// Longer than any event: labels have their own limit.
constexpr size_t kMaxLineBytes = size_t{4} << 20U;

}  // namespace

Result<EventsReader> EventsReader::Open(const HostLayout& layout, Start start) {
  EventsReader reader(EventsPath(layout));
  if (start == Start::kFromTheFirst) {
    Result<UniqueFd> older = OpenFile(reader.path_ + ".1", O_RDONLY);
    struct stat status {};
    if (older && fstat(older->get(), &status) == 0) {
      reader.fd_ = std::move(*older);
      reader.inode_ = status.st_ino;
    }
    return reader;
  }
  HULL_ASSIGN(const bool opened, reader.OpenNewest());
  if (opened && lseek(reader.fd_.get(), 0, SEEK_END) < 0) return FailErrno("seek {}", reader.path_);
  return reader;
}

// False: it is the one that is read already, or there is none.
Result<bool> EventsReader::OpenNewest() {
  Result<UniqueFd> newest = OpenFile(path_, O_RDONLY);
  if (!newest && newest.error().code() == ErrorCode::kNotFound) return false;
  if (!newest) return Fail(std::move(newest).error());
  struct stat status {};
  if (fstat(newest->get(), &status) != 0) return FailErrno("stat {}", path_);
  if (fd_.valid() && status.st_ino == inode_) return false;
  fd_ = std::move(*newest);
  inode_ = status.st_ino;
  return true;
}

Result<bool> EventsReader::Fill() {
  for (;;) {
    if (fd_.valid()) {
      const size_t had = buffer_.size();
      buffer_.resize(had + kBlockBytes);
      const ssize_t got = read(fd_.get(), buffer_.data() + had, kBlockBytes);
      buffer_.resize(had + (got > 0 ? static_cast<size_t>(got) : 0));
      if (got < 0) return FailErrno("read {}", path_);
      if (got > 0) return true;
    }
    struct stat status {};
    const bool is_newest =
        fd_.valid() && stat(path_.c_str(), &status) == 0 && status.st_ino == inode_;
    if (is_newest) return false;
    // It has been rotated: what was written until then is read first.
    if (!at_end_ && fd_.valid()) {
      at_end_ = true;
      continue;
    }
    at_end_ = false;
    HULL_ASSIGN(const bool opened, OpenNewest());
    if (!opened) return false;
    buffer_.clear();
  }
}

Result<std::optional<boost::json::object>> EventsReader::Next() {
  for (;;) {
    const size_t end = buffer_.find('\n');
    if (end == std::string::npos) {
      if (buffer_.size() > kMaxLineBytes) buffer_.clear();
      HULL_ASSIGN(const bool more, Fill());
      if (!more) return std::optional<boost::json::object>();
      continue;
    }
    boost::json::error_code error;
    boost::json::value event =
        boost::json::parse(boost::json::string_view(buffer_.data(), end), error);
    buffer_.erase(0, end + 1);
    if (!error && event.is_object()) return std::optional(std::move(event.get_object()));
  }
}

int64_t EventTimeNs(const boost::json::object& event) {
  const boost::json::value* const time = event.if_contains("timeNano");
  return time != nullptr && time->is_int64() ? time->get_int64() : 0;
}

}  // namespace hull
