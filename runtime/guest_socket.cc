#include "runtime/guest_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "vmm/base/file.h"

namespace hull {
namespace {

// "OK 4294967295\n"
constexpr size_t kMaxAnswerBytes = 32;

Result<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Fail(ErrorCode::kInvalidArgument, "{} is too long for a socket", path);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

// SAFETY: the socket calls take every address as a sockaddr and look at its family.
const sockaddr* Generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// Takes up to the line feed and not one byte further: what follows belongs to the guest.
Result<std::string> ReadAnswer(int fd, int timeout_ms) {
  std::array<char, kMaxAnswerBytes> seen{};
  while (true) {
    pollfd wait{fd, POLLIN, 0};
    const int ready = poll(&wait, 1, timeout_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return FailErrno("wait for the guest");
    if (ready == 0) return Fail(ErrorCode::kTimedOut, "the guest did not answer a connection");
    const ssize_t got = recv(fd, seen.data(), seen.size(), MSG_PEEK);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Fail(ErrorCode::kUnavailable, "the guest refused the connection");
    const std::string_view text(seen.data(), static_cast<size_t>(got));
    const size_t end = text.find('\n');
    if (end != std::string_view::npos) {
      std::string answer(text.substr(0, end));
      // It is there to be taken: it was just seen.
      if (recv(fd, seen.data(), end + 1, 0) != static_cast<ssize_t>(end + 1)) {
        return FailErrno("read the answer to a connection");
      }
      return answer;
    }
    if (text.size() == seen.size()) break;
    // hull-vmm writes its answer in one piece; a part of it would make this loop turn until the
    // rest is here.
  }
  return Fail(ErrorCode::kCorrupt, "hull-vmm's answer to a connection has no end");
}

}  // namespace

Result<UniqueFd> ListenForGuest(const std::string& vsock_path, uint32_t port) {
  HULL_ASSIGN(const sockaddr_un address, AddressOf(fmt::format("{}_{}", vsock_path, port)));
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return FailErrno("make a socket");
  if (bind(fd.get(), Generic(address), sizeof address) != 0 || listen(fd.get(), 1) != 0) {
    return FailErrno("listen on {}", address.sun_path);
  }
  return fd;
}

Result<UniqueFd> ConnectToGuest(const std::string& vsock_path, uint32_t port, int timeout_ms) {
  HULL_ASSIGN(const sockaddr_un address, AddressOf(vsock_path));
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return FailErrno("make a socket");
  if (connect(fd.get(), Generic(address), sizeof address) != 0) {
    return FailErrno("connect to the virtual machine");
  }
  HULL_TRY(WriteAll(fd.get(), fmt::format("CONNECT {}\n", port)));
  HULL_ASSIGN(const std::string answer, ReadAnswer(fd.get(), timeout_ms));
  if (!answer.starts_with("OK ")) {
    return Fail(ErrorCode::kCorrupt, "hull-vmm's answer to a connection is not \"OK\"");
  }
  return fd;
}

}  // namespace hull
