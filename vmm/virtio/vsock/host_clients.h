// HostClients: programs on the host that have connected to the Unix socket and have not yet said
// where to.
//
// Owned by the device, on the I/O loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "vmm/base/log.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/event/event_loop.h"
#include "vmm/event/watch.h"
#include "vmm/virtio/vsock/connection.h"

namespace hull::vsock {

class HostClients {
 public:
  struct Events {
    // A program has said "CONNECT <port>\n"; what it sends next is for the guest.
    std::function<void(UniqueFd socket, uint32_t port)> connect;
    // There is a new one (which has a deadline).
    std::function<void()> arrived;
    // Whether another one may come. Asked before each.
    std::function<bool()> has_room;
    // How long each may take.
    std::chrono::milliseconds limit;
  };

  // Listens at `path` from now on; takes connections as soon as `loop` runs.
  static Result<std::unique_ptr<HostClients>> Create(EventLoop& loop, std::string path,
                                                     Events events);
  // Removes the socket from the file system.
  ~HostClients();
  HostClients(const HostClients&) = delete;
  HostClients& operator=(const HostClients&) = delete;

  size_t count() const { return clients_.size(); }
  // Turns away those whose time is up. Returns whether some are left, or the listener is paused:
  // ask again after a while.
  bool OnTick(Clock::time_point now);
  // There may be room again.
  void Resume();

 private:
  struct Client {
    UniqueFd socket;
    std::string line;  // so far
    Clock::time_point deadline;
    std::unique_ptr<Watch> watch;  // ends before its socket
  };

  HostClients(EventLoop& loop, std::string path, UniqueFd listener, Events events)
      : loop_(loop),
        path_(std::move(path)),
        listener_(std::move(listener)),
        events_(std::move(events)) {}

  void OnArrival();
  void Add(UniqueFd socket);
  void OnReadable(uint64_t id);

  EventLoop& loop_;
  const std::string path_;
  const UniqueFd listener_;
  const Events events_;
  std::unique_ptr<Watch> listener_watch_;
  bool paused_ = false;
  uint64_t next_id_ = 0;
  std::unordered_map<uint64_t, Client> clients_;
  log::RateLimit limit_;
};

}  // namespace hull::vsock
