// One client of a supervisor, as the supervisor sees it. Lives on the supervisor's loop; held by
// shared_ptr because what waits on its socket holds it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "runtime/supervisor_protocol.h"
#include "vmm/base/unique_fd.h"

namespace hull {

class SupervisorConnection : public std::enable_shared_from_this<SupervisorConnection> {
 public:
  using Pointer = std::shared_ptr<SupervisorConnection>;
  // Of one request, with what descriptors came with it.
  using RequestHandler =
      std::function<void(const Pointer&, const boost::json::object&, std::vector<UniqueFd>)>;
  using CloseHandler = std::function<void(const Pointer&)>;

  SupervisorConnection(boost::asio::io_context& io, UniqueFd socket)
      : socket_(io, socket.Release()) {}

  // `on_close` is called once, when the client has gone or has broken the protocol; not by Close.
  void Start(RequestHandler on_request, CloseHandler on_close);
  // A client that does not read what it is told is dropped.
  void Send(const boost::json::object& message);
  void Answer(const boost::json::object& request, const Status& status);
  void Close();

 private:
  void Await();
  void Receive();
  void End();

  boost::asio::posix::stream_descriptor socket_;
  RequestHandler on_request_;
  CloseHandler on_close_;
  std::string text_;
  std::vector<UniqueFd> descriptors_;
};

}  // namespace hull
