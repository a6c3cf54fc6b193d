#include "vmm/virtio/vsock/host_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

namespace hull::vsock {
namespace {

constexpr int kBacklog = 128;
constexpr mode_t kMode = 0600;
// More than a Unix socket holds: a peer that goes on sending while we throw away gets EPIPE anyway.
constexpr int kMaxDiscards = 256;

Result<sockaddr_un> AddressOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path))
    return Fail(MakeError(ErrorCode::kInvalidArgument,
                          "socket path has {} characters, not 1 to {}: {}", path.size(),
                          sizeof(address.sun_path) - 1, path)
                    .WithHint("use a shorter path, or one relative to the working directory"));
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// SAFETY: sockets take every kind of address through this type.
const sockaddr* Generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

Result<UniqueFd> MakeSocket() {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return FailErrno("socket");
  return socket;
}

// True when nobody listens at what is there, so that it may be removed.
Result<bool> IsStale(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return FailErrno("look at {}", path);
  if (!S_ISSOCK(status.st_mode)) return false;
  HULL_ASSIGN(const UniqueFd probe, MakeSocket());
  if (connect(probe.get(), Generic(address), sizeof(address)) == 0) return false;
  return errno == ECONNREFUSED;
}

Status BindTo(const UniqueFd& socket, const std::string& path, const sockaddr_un& address) {
  if (bind(socket.get(), Generic(address), sizeof(address)) == 0) return {};
  if (errno != EADDRINUSE) return FailErrno("bind {}", path);
  HULL_ASSIGN(const bool stale, IsStale(path, address));
  if (!stale) return Fail(ErrorCode::kAlreadyExists, "{} is in use", path);
  if (unlink(path.c_str()) != 0) return FailErrno("remove the stale socket {}", path);
  if (bind(socket.get(), Generic(address), sizeof(address)) != 0) return FailErrno("bind {}", path);
  return {};
}

SocketResult ResultOf(ssize_t moved) {
  if (moved >= 0) return {.bytes = static_cast<size_t>(moved)};
  if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) return {};
  return {.broken = true};
}

}  // namespace

Result<UniqueFd> ListenAt(const std::string& path) {
  HULL_ASSIGN(const sockaddr_un address, AddressOf(path));
  HULL_ASSIGN(UniqueFd socket, MakeSocket());
  // The socket's inode hands its mode on to the file that bind makes.
  if (fchmod(socket.get(), kMode) != 0) return FailErrno("fchmod");
  HULL_TRY(BindTo(socket, path, address));
  if (listen(socket.get(), kBacklog) != 0) return FailErrno("listen at {}", path);
  return socket;
}

Result<UniqueFd> AcceptFrom(int listener) {
  UniqueFd socket(accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (socket.valid()) return socket;
  if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) return UniqueFd();
  return FailErrno("accept");
}

Result<UniqueFd> ConnectTo(const std::string& path) {
  HULL_ASSIGN(const sockaddr_un address, AddressOf(path));
  HULL_ASSIGN(UniqueFd socket, MakeSocket());
  if (connect(socket.get(), Generic(address), sizeof(address)) != 0)
    return FailErrno("connect to {}", path);
  return socket;
}

SocketResult SendTo(int socket, const IoVectors& vectors) {
  msghdr message{};
  // SAFETY: sendmsg does not change what it sends; the type is shared with recvmsg.
  message.msg_iov = const_cast<iovec*>(vectors.data());
  message.msg_iovlen = vectors.count();
  return ResultOf(sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
}

SocketResult SendTo(int socket, std::span<const std::byte> data) {
  return ResultOf(send(socket, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
}

SocketResult ReceiveFrom(int socket, const IoVectors& vectors) {
  const ssize_t moved = readv(socket, vectors.data(), static_cast<int>(vectors.count()));
  if (moved == 0) return {.ended = true};
  return ResultOf(moved);
}

void DiscardUnread(int socket) {
  static_cast<void>(shutdown(socket, SHUT_RDWR));
  std::array<std::byte, 16384> scratch;
  for (int i = 0; i < kMaxDiscards; ++i)
    if (recv(socket, scratch.data(), scratch.size(), MSG_DONTWAIT) <= 0) return;
}

}  // namespace hull::vsock
