// Where connections come from: vsock in a guest, Unix sockets in tests.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::agent {

// Listens on a vsock port of this machine.
Result<UniqueFd> ListenVsock(uint32_t port);
// Listens on `<directory>/<port>`.
Result<UniqueFd> ListenUnix(const std::string& directory, uint32_t port);

// Begins to connect to the host's vsock port; the socket is non-blocking, and writable once
// connected.
Result<UniqueFd> DialHost(uint32_t port);

// Hands over each accepted connection (close-on-exec, blocking mode). Lives on the loop.
class Listener {
 public:
  using Handler = std::function<void(UniqueFd)>;
  // `socket` listens.
  static Result<std::unique_ptr<Listener>> Create(boost::asio::io_context& io, UniqueFd socket,
                                                  Handler handler);

 private:
  Listener(boost::asio::io_context& io, int fd, Handler handler)
      : socket_(io, fd), handler_(std::move(handler)) {}
  void Wait();

  boost::asio::posix::stream_descriptor socket_;
  Handler handler_;
};

}  // namespace hull::agent
