// Timer: calls back once on the loop's thread, after a time on the monotonic clock.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "vmm/event/event_loop.h"

namespace hull {

class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> callback);
  // No call comes after this. A callback may destroy its own timer.
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Calls back after `delay`, in place of what was set before.
  void Start(std::chrono::nanoseconds delay);
  // No call comes after this, until the next Start.
  void Stop();
  bool running() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace hull
