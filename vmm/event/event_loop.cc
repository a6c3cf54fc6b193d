#include "vmm/event/event_loop.h"

#include <condition_variable>
#include <exception>
#include <mutex>

#include <boost/asio/post.hpp>

#include "vmm/event/event_loop_impl.h"

namespace hull {
namespace {

// A rendezvous that outlives whichever side leaves first.
struct Completion {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
};

}  // namespace

EventLoop::EventLoop(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

EventLoop::~EventLoop() = default;

Result<std::unique_ptr<EventLoop>> EventLoop::Create() {
  try {
    return std::unique_ptr<EventLoop>(new EventLoop(std::make_unique<Impl>()));
  } catch (const std::exception& exception) {
    return Fail(ErrorCode::kExhausted, "make an event loop: {}", exception.what());
  }
}

void EventLoop::Run() {
  const std::thread::id former = impl_->owner.exchange(std::this_thread::get_id());
  impl_->context.run();
  // Ready for another Run or Poll; a Stop that came early has been honoured by now.
  impl_->context.restart();
  impl_->owner.store(former);
}

void EventLoop::Stop() {
  impl_->context.stop();
}

size_t EventLoop::Poll() {
  return impl_->context.poll();
}

size_t EventLoop::PollFor(std::chrono::milliseconds limit) {
  const size_t count = impl_->context.run_one_for(limit);
  return count == 0 ? 0 : count + Poll();
}

void EventLoop::Post(Task task) {
  boost::asio::post(impl_->context, [task = std::move(task)]() mutable { task(); });
}

bool EventLoop::RunAndWait(Task task, std::chrono::milliseconds limit) {
  if (IsCurrent()) {
    task();
    return true;
  }
  const auto completion = std::make_shared<Completion>();
  Post([task = std::move(task), completion]() mutable {
    task();
    const std::lock_guard lock(completion->mutex);
    completion->done = true;
    completion->changed.notify_one();
  });
  std::unique_lock lock(completion->mutex);
  return completion->changed.wait_for(lock, limit, [&] { return completion->done; });
}

bool EventLoop::IsCurrent() const {
  return impl_->owner.load() == std::this_thread::get_id();
}

}  // namespace hull
