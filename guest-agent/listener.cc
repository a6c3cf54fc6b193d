#include "guest-agent/listener.h"

#include <linux/vm_sockets.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "guest-agent/kernel_log.h"

namespace hull::agent {
namespace {

constexpr int kBacklog = 128;

Result<UniqueFd> Listen(UniqueFd socket, const sockaddr* address, socklen_t size,
                        const std::string& what) {
  if (!socket.valid()) return FailErrno("make a socket for {}", what);
  if (::bind(socket.get(), address, size) != 0) return FailErrno("bind to {}", what);
  if (::listen(socket.get(), kBacklog) != 0) return FailErrno("listen on {}", what);
  return socket;
}

sockaddr_vm VsockAddress(uint32_t cid, uint32_t port) {
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = cid;
  address.svm_port = port;
  return address;
}

}  // namespace

Result<UniqueFd> ListenVsock(uint32_t port) {
  const sockaddr_vm address = VsockAddress(VMADDR_CID_ANY, port);
  // SAFETY: the sockets interface takes every kind of address as sockaddr.
  return Listen(UniqueFd(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
                reinterpret_cast<const sockaddr*>(&address), sizeof(address),
                fmt::format("vsock port {}", port));
}

Result<UniqueFd> ListenUnix(const std::string& directory, uint32_t port) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = fmt::format("{}/{}", directory, port);
  if (path.size() >= sizeof(address.sun_path)) {
    return Fail(ErrorCode::kInvalidArgument, "the path {} is too long for a socket", path);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ::unlink(path.c_str());
  // SAFETY: as above.
  return Listen(UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)),
                reinterpret_cast<const sockaddr*>(&address), sizeof(address), path);
}

Result<UniqueFd> DialHost(uint32_t port) {
  UniqueFd socket(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return FailErrno("make a vsock socket");
  const sockaddr_vm address = VsockAddress(VMADDR_CID_HOST, port);
  // SAFETY: as above.
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 &&
      errno != EINPROGRESS) {
    return FailErrno("connect to the host's vsock port {}", port);
  }
  return socket;
}

Result<std::unique_ptr<Listener>> Listener::Create(boost::asio::io_context& io, UniqueFd socket,
                                                   Handler handler) {
  std::unique_ptr<Listener> listener(new Listener(io, socket.Release(), std::move(handler)));
  listener->Wait();
  return listener;
}

void Listener::Wait() {
  socket_.async_wait(
      boost::asio::posix::stream_descriptor::wait_read,
      [this](const boost::system::error_code& cancelled) {
        if (cancelled) return;
        while (true) {
          UniqueFd connection(::accept4(socket_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC));
          if (connection.valid()) {
            handler_(std::move(connection));
          } else if (errno != EINTR && errno != ECONNABORTED) {
            // EAGAIN: none left. EMFILE and the like: the next connection wakes us again.
            if (errno != EAGAIN) LogWarning("accept: {}", std::strerror(errno));
            break;
          }
        }
        Wait();
      });
}

}  // namespace hull::agent
