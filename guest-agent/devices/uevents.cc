#include "guest-agent/devices/uevents.h"

#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "vmm/base/unique_fd.h"

namespace hull::agent {
namespace {

constexpr size_t kMaxMessageBytes = 8192;  // the kernel's are at most 2,048 and a header
constexpr int kReceiveBytes = 1 << 20;
// Before the loop serves others again.
constexpr int kMessagesAtOnce = 64;
constexpr uint32_t kKernelGroup = 1;

}  // namespace

std::string_view UeventPath(std::string_view message) {
  const std::string_view head = message.substr(0, message.find('\0'));
  const size_t at = head.find('@');
  if (at == std::string_view::npos) return {};
  const std::string_view path = head.substr(at + 1);
  return path.starts_with("/devices/") ? path : std::string_view();
}

Result<std::unique_ptr<Uevents>> Uevents::Create(boost::asio::io_context& io, Handler handler) {
  UniqueFd socket(
      ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT));
  if (!socket.valid()) return FailErrno("make a socket for uevents");
  // A disk with many partitions announces them all at once.
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBytes, sizeof(kReceiveBytes));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = kKernelGroup;
  // SAFETY: the sockets interface takes every kind of address as sockaddr.
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return FailErrno("listen to uevents");
  }
  std::unique_ptr<Uevents> uevents(new Uevents(io, socket.Release(), std::move(handler)));
  uevents->Wait();
  return uevents;
}

void Uevents::Wait() {
  socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                     [this](const boost::system::error_code& cancelled) {
                       if (cancelled) return;
                       Receive();
                       Wait();
                     });
}

void Uevents::Receive() {
  std::array<char, kMaxMessageBytes> bytes;
  for (int i = 0; i < kMessagesAtOnce; ++i) {
    const ssize_t size = ::recv(socket_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) {
      // ENOBUFS: more came than there was room for.
      if (errno == ENOBUFS) handler_({});
      return;
    }
    const std::string_view path =
        UeventPath(std::string_view(bytes.data(), static_cast<size_t>(size)));
    if (!path.empty()) handler_(path);
  }
}

}  // namespace hull::agent
