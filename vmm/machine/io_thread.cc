#include "vmm/machine/io_thread.h"

#include <pthread.h>

namespace hull {
namespace {

// A guest's last requests may lead to more work, but not for ever.
constexpr int kMaxLastTurns = 64;

}  // namespace

Result<std::unique_ptr<IoThread>> IoThread::Create() {
  HULL_ASSIGN(std::unique_ptr<EventLoop> loop, EventLoop::Create());
  return std::unique_ptr<IoThread>(new IoThread(std::move(loop)));
}

IoThread::~IoThread() {
  Stop();
}

void IoThread::Start() {
  thread_ = std::thread([this] {
    ::pthread_setname_np(::pthread_self(), "io");
    loop_->Run();
  });
}

void IoThread::Stop() {
  if (!thread_.joinable()) return;
  loop_->Stop();
  thread_.join();
  for (int turn = 0; turn < kMaxLastTurns && loop_->Poll() > 0; ++turn) {
  }
}

}  // namespace hull
