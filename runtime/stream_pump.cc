#include "runtime/stream_pump.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include <boost/asio/post.hpp>

namespace hull {
namespace {

constexpr size_t kChunkBytes = 128 * 1024;

enum class Side { kUser, kGuest };

struct Stopped {
  Side side;
  int error_number;  // 0: end of file
  bool detached = false;
};

// For descriptors that somebody else made non-blocking.
void AwaitReady(int fd, short events) {
  pollfd wait{fd, events, 0};
  poll(&wait, 1, -1);
}

// 0, or why not.
int Write(int to, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(to, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      AwaitReady(to, POLLOUT);
      continue;
    }
    if (written < 0) return errno;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return 0;
}

// Copies until an end stops.
Stopped Copy(int from, Side from_side, int to, Side to_side, DetachKeys& keys) {
  // Not filled: pages that nothing is read into are never touched.
  const auto chunk = std::make_unique_for_overwrite<char[]>(kChunkBytes);
  while (true) {
    const ssize_t got = read(from, chunk.get(), kChunkBytes);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) {
      AwaitReady(from, POLLIN);
      continue;
    }
    if (got <= 0) return {from_side, got == 0 ? 0 : errno};
    std::string_view bytes(chunk.get(), static_cast<size_t>(got));
    std::string typed;
    bool detached = false;
    if (!keys.empty()) {
      typed = bytes;
      detached = keys.Filter(typed);
      bytes = typed;
    }
    if (const int error = Write(to, bytes); error != 0) return {to_side, error};
    if (detached) return {from_side, 0, true};
  }
}

Status Finish(int stream, PumpDirection direction, const Stopped& stopped) {
  if (stopped.detached) return Fail(ErrorCode::kCancelled, "detached");
  if (direction == PumpDirection::kToGuest) {
    shutdown(stream, SHUT_WR);
    // A terminal that hangs up reads as EIO: its end, no fault.
    if (stopped.side == Side::kUser && stopped.error_number != 0 && stopped.error_number != EIO) {
      return Fail(Error::FromErrno(stopped.error_number, "read standard input"));
    }
    return {};
  }
  if (stopped.side == Side::kUser) {
    if (direction == PumpDirection::kFromGuest) {
      // agent.proto, StreamOpen: a byte from the host closes the process's pipe. If the guest is
      // not there to take it, nobody writes either.
      [[maybe_unused]] const ssize_t ignored = send(stream, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    shutdown(stream, SHUT_RDWR);
    if (stopped.error_number != EIO) {
      return Fail(Error::FromErrno(stopped.error_number, "write the container's output"));
    }
  }
  return {};
}

}  // namespace

void StartPump(boost::asio::io_context& io, std::shared_ptr<UniqueFd> stream, int user_fd,
               PumpDirection direction, std::function<void(Status)> done, DetachKeys keys) {
  std::thread([&io, stream = std::move(stream), user_fd, direction, done = std::move(done),
               keys = std::move(keys)]() mutable {
    const bool to_guest = direction == PumpDirection::kToGuest;
    DetachKeys none;
    const Stopped stopped = to_guest
                                ? Copy(user_fd, Side::kUser, stream->get(), Side::kGuest, keys)
                                : Copy(stream->get(), Side::kGuest, user_fd, Side::kUser, none);
    Status status = Finish(stream->get(), direction, stopped);
    boost::asio::post(io, [done, status = std::move(status)] { done(status); });
  }).detach();
}

}  // namespace hull
