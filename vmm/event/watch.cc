#include "vmm/event/watch.h"

#include <boost/asio/posix/stream_descriptor.hpp>

#include "vmm/base/check.h"
#include "vmm/event/event_loop_impl.h"

namespace hull {
namespace {

namespace asio = boost::asio;
using WaitType = asio::posix::stream_descriptor::wait_type;

}  // namespace

// Shared with the waits that Asio holds: one that has already been taken off its queue when the
// watch stops still runs, and must find that it no longer matters.
struct Watch::State : std::enable_shared_from_this<State> {
  struct Direction {
    WaitType wait_type;
    Callback callback;
    bool on = false;
    bool waiting = false;  // a wait is with Asio
  };

  explicit State(asio::io_context& context) : descriptor(context) {}

  void Set(Direction& direction, bool on) {
    if (stopped) return;
    HULL_CHECK(!on || direction.callback);
    direction.on = on;
    // Switched off, a wait that is under way is left to end by itself: toggling costs no system
    // call.
    if (on && !direction.waiting) Wait(direction);
  }

  void Wait(Direction& direction) {
    direction.waiting = true;
    descriptor.async_wait(direction.wait_type,
                          [self = shared_from_this(), &direction](boost::system::error_code error) {
                            self->OnReady(direction, error);
                          });
  }

  void OnReady(Direction& direction, boost::system::error_code error) {
    direction.waiting = false;
    if (stopped || !direction.on || error == asio::error::operation_aborted) return;
    HULL_CHECK(error != asio::error::operation_not_supported);
    // Any other error of the wait itself is the descriptor's: its user finds it out by using it.
    direction.callback();
    if (!stopped && direction.on && !direction.waiting) Wait(direction);
  }

  void Stop() {
    if (stopped) return;
    stopped = true;
    descriptor.release();
  }

  asio::posix::stream_descriptor descriptor;
  Direction readable{.wait_type = asio::posix::stream_descriptor::wait_read, .callback = nullptr};
  Direction writable{.wait_type = asio::posix::stream_descriptor::wait_write, .callback = nullptr};
  bool stopped = false;
};

Watch::Watch(std::shared_ptr<State> state) : state_(std::move(state)) {}

Watch::~Watch() {
  Stop();
}

Result<std::unique_ptr<Watch>> Watch::Create(EventLoop& loop, int fd, Callback on_readable,
                                             Callback on_writable) {
  auto state = std::make_shared<State>(loop.impl_->context);
  boost::system::error_code error;
  state->descriptor.assign(fd, error);
  if (error) return Fail(Error::FromErrno(error.value(), "watch a descriptor"));
  state->readable.callback = std::move(on_readable);
  state->writable.callback = std::move(on_writable);
  return std::unique_ptr<Watch>(new Watch(std::move(state)));
}

void Watch::WatchReadable(bool on) {
  state_->Set(state_->readable, on);
}

void Watch::WatchWritable(bool on) {
  state_->Set(state_->writable, on);
}

void Watch::Stop() {
  state_->Stop();
}

}  // namespace hull
