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

  // Takes over the signals that docker passes on to a container, save those of job control: SIGTSTP
  // still suspends hull. `handler` runs on the loop, once a signal; it can be replaced.
  Status Start(std::function<void(int)> handler);
  void SetHandler(std::function<void(int)> handler) { handler_ = std::move(handler); }

 private:
  void Await();

  boost::asio::posix::stream_descriptor descriptor_;
  std::function<void(int)> handler_;
};

}  // namespace hull::cli
