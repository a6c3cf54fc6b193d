// IoThread: the I/O loop and the thread that runs it.
#pragma once

#include <memory>
#include <thread>

#include "vmm/base/result.h"
#include "vmm/event/event_loop.h"

namespace hull {

class IoThread {
 public:
  static Result<std::unique_ptr<IoThread>> Create();
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  EventLoop& loop() { return *loop_; }

  // Start is called once; until then, and after Stop, the loop is the caller's.
  void Start();
  // Ends the thread, then does here what was ready, so that what the guest sent last still arrives.
  void Stop();

 private:
  explicit IoThread(std::unique_ptr<EventLoop> loop) : loop_(std::move(loop)) {}

  std::unique_ptr<EventLoop> loop_;
  std::thread thread_;
};

}  // namespace hull
