// The kernel's announcements of devices that come, go and change.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "vmm/base/result.h"

namespace hull::agent {

// Lives on the agent's loop.
//
// What is announced is a reason to look at sysfs, nothing more: whoever has CAP_SYS_ADMIN in a
// container can send uevents of its own to everybody in the guest's network namespace, and the
// kernel passes them on as if they were its own.
class Uevents {
 public:
  // `path`: of the device ("/devices/..."). Empty: announcements were lost, anything may have
  // changed.
  using Handler = std::function<void(std::string_view path)>;

  // Announcements from now on. `handler` runs on the loop, never from within this call.
  static Result<std::unique_ptr<Uevents>> Create(boost::asio::io_context& io, Handler handler);

 private:
  Uevents(boost::asio::io_context& io, int socket, Handler handler)
      : socket_(io, socket), handler_(std::move(handler)) {}
  void Wait();
  void Receive();

  boost::asio::posix::stream_descriptor socket_;
  Handler handler_;
};

// The device of a uevent message ("add@/devices/...", then NUL and further fields); empty: it is
// none.
std::string_view UeventPath(std::string_view message);

}  // namespace hull::agent
