// ControlServer: listens on the control socket and turns lines into requests (vmm/api/control.h).
//
// Lives on the control loop. The socket is the operator's, but a client may still be slow or wrong:
// lines and unsent answers are bounded, a client that exceeds them is dropped.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "vmm/api/control.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/event/event_loop.h"
#include "vmm/event/watch.h"

namespace hull {

class ControlServer {
 private:
  struct Connection;

 public:
  // Where an answer goes. May be kept for later; a client that has gone gets nothing.
  class Client {
   public:
    // `line` with its line feed.
    void Answer(const std::string& line) const;

   private:
    friend class ControlServer;
    explicit Client(std::weak_ptr<Connection> connection) : connection_(std::move(connection)) {}
    std::weak_ptr<Connection> connection_;
  };
  using Handler = std::function<void(const api::Request&, const Client&)>;

  // Makes the socket at `path` (mode 0600), which must not exist, or be left from a VMM that has
  // ended.
  static Result<std::unique_ptr<ControlServer>> Create(EventLoop& loop, const std::string& path,
                                                       Handler handler);
  // Removes the socket and hangs up on all clients, after one more attempt to send what they are
  // owed.
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

 private:
  ControlServer(EventLoop& loop, std::string path, UniqueFd listener, Handler handler);

  void Accept();
  void OnReadable(Connection& connection);
  // False when the connection is to end.
  bool HandleLines(Connection& connection);
  void Drop(Connection& connection);

  EventLoop& loop_;
  const std::string path_;
  const UniqueFd listener_;
  const Handler handler_;
  std::unique_ptr<Watch> accept_watch_;
  std::list<std::shared_ptr<Connection>> connections_;
};

}  // namespace hull
