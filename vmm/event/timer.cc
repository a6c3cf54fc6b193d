#include "vmm/event/timer.h"

#include <cstdint>

#include <boost/asio/steady_timer.hpp>

#include "vmm/event/event_loop_impl.h"

namespace hull {

// Shared with the wait that Asio holds, which may have expired already when the timer is stopped.
struct Timer::State : std::enable_shared_from_this<State> {
  State(boost::asio::io_context& context, std::function<void()> function)
      : timer(context), callback(std::move(function)) {}

  boost::asio::steady_timer timer;
  std::function<void()> callback;
  uint64_t turn = 0;  // which Start a wait belongs to
  bool running = false;
};

Timer::Timer(EventLoop& loop, std::function<void()> callback)
    : state_(std::make_shared<State>(loop.impl_->context, std::move(callback))) {}

Timer::~Timer() {
  Stop();
}

void Timer::Start(std::chrono::nanoseconds delay) {
  state_->timer.expires_after(delay);
  state_->running = true;
  const uint64_t turn = ++state_->turn;
  state_->timer.async_wait([state = state_, turn](boost::system::error_code error) {
    if (error || !state->running || state->turn != turn) return;
    state->running = false;
    state->callback();
  });
}

void Timer::Stop() {
  if (!state_->running) return;
  state_->running = false;
  state_->timer.cancel();
}

bool Timer::running() const {
  return state_->running;
}

}  // namespace hull
