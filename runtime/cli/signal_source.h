// Signals of this process as events on a loop. Blocks them for all threads, so it is made before
// any is.
#pragma once

#include <functional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "vmm/base/result.h"

namespace hull::cli {

class SignalSource {
 public:
  explicit SignalSource(boost::asio::io_context& io) : descriptor_(io) {}

  // Takes over the signals that docker passes on to a container; SIGTSTP is one of them. `handler`
  // runs on the loop, once a signal.
  Status Start(std::function<void(int)> handler);

 private:
  void Await();

  boost::asio::posix::stream_descriptor descriptor_;
  std::function<void(int)> handler_;
};

}  // namespace hull::cli
