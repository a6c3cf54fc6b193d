// What Watch and Timer need of the loop; for vmm/event alone.
#pragma once

#include <atomic>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "vmm/event/event_loop.h"

namespace hull {

struct EventLoop::Impl {
  // One thread runs the loop, so Asio may leave out what several would need; posting stays
  // thread-safe.
  boost::asio::io_context context{1};
  // A loop with nothing to wait for waits; without this Asio would stop it.
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{
      context.get_executor()};
  std::atomic<std::thread::id> owner = std::this_thread::get_id();
};

}  // namespace hull
