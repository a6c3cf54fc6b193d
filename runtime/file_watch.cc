#include "runtime/file_watch.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>

namespace hull {

Result<FileWatch> FileWatch::Open(const std::string& directory) {
  UniqueFd fd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!fd.valid()) return FailErrno("inotify_init1");
  constexpr uint32_t kEvents = IN_MODIFY | IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE |
                               IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
  if (inotify_add_watch(fd.get(), directory.c_str(), kEvents) < 0) {
    return FailErrno("watch {}", directory);
  }
  return FileWatch(std::move(fd));
}

FileWatch::Woken FileWatch::Wait(int timeout_ms, int output) {
  // POLLERR comes without being asked for: of a pipe whose reading end is closed.
  std::array<pollfd, 2> polled = {pollfd{fd_.get(), POLLIN, 0}, pollfd{output, 0, 0}};
  const int ready = poll(polled.data(), polled.size(), timeout_ms);
  if (ready > 0 && (polled[1].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
    return Woken::kReaderGone;
  }
  if (ready <= 0) return Woken::kTimedOut;
  // What exactly happened is found by looking at the files.
  std::array<char, 4096> events{};
  while (read(fd_.get(), events.data(), events.size()) > 0) {
  }
  return Woken::kChanged;
}

}  // namespace hull
