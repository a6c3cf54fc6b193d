// EventLoop: one thread's turn-taking between descriptors, timers and posted tasks.
//
// A loop belongs to the thread that made it until another thread calls Run(); then to that one,
// until Run() returns. Objects that live on a loop are used by its thread only, others Post() to
// them.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

#include "vmm/base/result.h"
#include "vmm/event/task.h"

namespace hull {

class EventLoop {
 public:
  // Fails when the host has no descriptor left.
  static Result<std::unique_ptr<EventLoop>> Create();
  // Tasks that never ran are destroyed unrun. Watches and timers must be gone before.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Works until Stop(). A loop that has nothing to wait for waits nevertheless.
  void Run();
  // Makes Run() return after what it is doing, now or as soon as it is called. Any thread, any
  // time.
  void Stop();

  // Does what is ready without waiting; returns how many pieces of work that was. For tests.
  size_t Poll();
  // The same, waiting up to `limit` for the first. For tests.
  size_t PollFor(std::chrono::milliseconds limit);

  // Runs `task` on the loop's thread, later, in order of posting. Any thread.
  void Post(Task task);
  // Runs `task` at once when this thread owns the loop, else posts it and waits for its end, at
  // most `limit`. False when time was up: the task may still run, so it must own what it uses.
  [[nodiscard]] bool RunAndWait(Task task, std::chrono::milliseconds limit);

  // Whether this thread owns the loop.
  bool IsCurrent() const;

 private:
  friend class Watch;
  friend class Timer;
  struct Impl;
  explicit EventLoop(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace hull
