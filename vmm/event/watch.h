// Watch: calls back on the loop's thread while a descriptor is ready.
//
// Readiness is a level: the call comes again for as long as the descriptor stays ready and the
// watch is on, so a callback need not drain it. One Watch for a descriptor on a loop. All functions
// are for the loop's thread. A hang-up or an error counts as readable and as writable.
#pragma once

#include <functional>
#include <memory>

#include "vmm/base/result.h"
#include "vmm/event/event_loop.h"

namespace hull {

class Watch {
 public:
  using Callback = std::function<void()>;

  // Both directions are off at first. `fd` stays the caller's and outlives the watch (or its Stop).
  // It must be of a kind that can be waited for: a regular file cannot (HULL_CHECK at the first
  // wait).
  static Result<std::unique_ptr<Watch>> Create(EventLoop& loop, int fd, Callback on_readable,
                                               Callback on_writable = nullptr);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // On or off. A direction without a callback cannot be switched on (HULL_CHECK).
  void WatchReadable(bool on);
  void WatchWritable(bool on);
  // Forgets the descriptor for good: no callback comes after this returns. A callback may stop or
  // destroy its own watch.
  void Stop();

 private:
  struct State;
  explicit Watch(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;
};

}  // namespace hull
