// Port 1025: takes a connection's first frame, says whether that stream exists, and hands the
// connection to it.
#pragma once

#include <cstddef>
#include <memory>

#include <boost/asio/io_context.hpp>

#include "guest-agent/containers.h"
#include "vmm/base/unique_fd.h"

namespace hull::agent {

class StreamAcceptor {
 public:
  // Both must outlive it and every connection under way.
  StreamAcceptor(boost::asio::io_context& io, Containers& containers)
      : io_(io), containers_(containers) {}

  // Takes over a new connection. It is closed when its first frame is not there after ten seconds,
  // is not a StreamOpen, or when 256 others are at that stage.
  void Accept(UniqueFd connection);

 private:
  class Handshake;

  boost::asio::io_context& io_;
  Containers& containers_;
  size_t under_way_ = 0;
};

}  // namespace hull::agent
