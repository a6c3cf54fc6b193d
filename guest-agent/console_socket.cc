#include "guest-agent/console_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

namespace hull::agent {

Result<UniqueFd> ListenForConsole(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return Fail(ErrorCode::kInvalidArgument, "the path {} is too long for a socket", path);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return FailErrno("make the console socket");
  // SAFETY: the sockets interface takes every kind of address as sockaddr.
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return FailErrno("bind to {}", path);
  }
  if (::listen(socket.get(), 1) != 0) return FailErrno("listen on {}", path);
  return socket;
}

Result<UniqueFd> ReceiveConsole(const UniqueFd& listener) {
  const UniqueFd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection.valid()) return FailErrno("crun sent no terminal");
  char bytes[256];
  iovec vector{bytes, sizeof(bytes)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  if (::recvmsg(connection.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) < 0) {
    return FailErrno("receive the terminal from crun");
  }
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
      header->cmsg_len != CMSG_LEN(sizeof(int))) {
    return Fail(ErrorCode::kFailed, "crun sent no terminal");
  }
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
  return UniqueFd(fd);
}

}  // namespace hull::agent
