#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "vmm/base/unique_fd.h"
#include "vmm/event/event_loop.h"
#include "vmm/event/gate.h"
#include "vmm/event/task.h"
#include "vmm/event/timer.h"
#include "vmm/event/watch.h"

namespace hull {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class EventTest : public testing::Test {
 protected:
  void SetUp() override {
    loop_ = std::move(EventLoop::Create()).value();
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    here_.Reset(ends[0]);
    there_.Reset(ends[1]);
  }

  void Send(size_t count = 1) {
    const std::string text(count, 'x');
    ASSERT_EQ(::write(there_.get(), text.data(), count), static_cast<ssize_t>(count));
  }
  void ReceiveOne() {
    char byte = 0;
    ASSERT_EQ(::read(here_.get(), &byte, 1), 1);
  }
  void PollUntil(const std::function<bool()>& done) {
    for (int i = 0; i < 100 && !done(); ++i) loop_->PollFor(milliseconds(50));
    EXPECT_TRUE(done());
  }

  std::unique_ptr<EventLoop> loop_;
  UniqueFd here_;
  UniqueFd there_;
};

TEST(TaskTest, OwnsWhatItNeedsAndLetsGoAfterRunning) {
  auto owned = std::make_unique<int>(7);
  auto watcher = std::make_shared<int>(0);
  Task task = [owned = std::move(owned), watcher] { *watcher = *owned; };
  EXPECT_EQ(watcher.use_count(), 2);
  EXPECT_TRUE(task);
  task();
  EXPECT_FALSE(task);
  EXPECT_EQ(*watcher, 7);
  EXPECT_EQ(watcher.use_count(), 1);
}

TEST_F(EventTest, TasksRunInOrderOfPosting) {
  std::vector<int> order;
  loop_->Post([&] {
    order.push_back(1);
    loop_->Post([&] { order.push_back(3); });
  });
  loop_->Post([&] { order.push_back(2); });
  EXPECT_TRUE(order.empty());
  EXPECT_EQ(loop_->Poll(), 3U);
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(loop_->Poll(), 0U);
}

TEST_F(EventTest, LoopBelongsToItsMakerThenToItsRunnerThenToItsMaker) {
  EXPECT_TRUE(loop_->IsCurrent());
  std::atomic<bool> current_there = false;
  std::thread runner([&] { loop_->Run(); });
  EXPECT_TRUE(loop_->RunAndWait([&] { current_there = loop_->IsCurrent(); }, seconds(10)));
  EXPECT_TRUE(current_there);
  loop_->Stop();
  runner.join();
  EXPECT_TRUE(loop_->IsCurrent());
}

TEST_F(EventTest, StopBeforeRunIsHonoured) {
  loop_->Stop();
  loop_->Run();  // returns
  bool ran = false;
  loop_->Post([&] {
    ran = true;
    loop_->Stop();
  });
  loop_->Run();
  EXPECT_TRUE(ran);
}

TEST_F(EventTest, RunAndWaitGivesUpAfterItsLimit) {
  std::thread runner([&] { loop_->Run(); });
  // Until the runner has taken over, the loop is still this thread's.
  while (loop_->IsCurrent()) std::this_thread::yield();
  std::atomic<bool> release = false;
  loop_->Post([&] {
    while (!release) std::this_thread::yield();
  });
  const auto ran = std::make_shared<std::atomic<bool>>(false);
  EXPECT_FALSE(loop_->RunAndWait([ran] { *ran = true; }, milliseconds(20)));
  EXPECT_FALSE(*ran);
  release = true;
  EXPECT_TRUE(loop_->RunAndWait([] {}, seconds(10)));
  EXPECT_TRUE(*ran);
  loop_->Stop();
  runner.join();
}

TEST_F(EventTest, PostsFromManyThreadsAllRun) {
  constexpr int kThreads = 4;
  constexpr int kPosts = 500;
  std::thread runner([&] { loop_->Run(); });
  int count = 0;  // the loop's
  {
    std::vector<std::jthread> posters;
    for (int i = 0; i < kThreads; ++i) {
      posters.emplace_back([&] {
        for (int j = 0; j < kPosts; ++j) loop_->Post([&] { ++count; });
      });
    }
  }
  loop_->Post([&] { loop_->Stop(); });
  runner.join();
  EXPECT_EQ(count, kThreads * kPosts);
}

TEST_F(EventTest, ReadableCallsAgainUntilDrained) {
  int calls = 0;
  auto watch = Watch::Create(*loop_, here_.get(), [&] {
                 ++calls;
                 ReceiveOne();
               }).value();
  Send(3);
  loop_->Poll();
  EXPECT_EQ(calls, 0);  // off at first
  watch->WatchReadable(true);
  PollUntil([&] { return calls == 3; });
  EXPECT_EQ(loop_->PollFor(milliseconds(20)), 0U);
  EXPECT_EQ(calls, 3);
}

TEST_F(EventTest, SwitchedOffItIsSilentAndOnAgainItFindsWhatCameMeanwhile) {
  int calls = 0;
  auto watch = Watch::Create(*loop_, here_.get(), [&] {
                 ++calls;
                 ReceiveOne();
               }).value();
  watch->WatchReadable(true);
  loop_->Poll();
  watch->WatchReadable(false);
  Send();
  loop_->PollFor(milliseconds(20));
  EXPECT_EQ(calls, 0);
  watch->WatchReadable(true);
  PollUntil([&] { return calls == 1; });
}

TEST_F(EventTest, WritableComesWhenThereIsRoomAgain) {
  ASSERT_EQ(::fcntl(here_.get(), F_SETFL, O_NONBLOCK), 0);
  const std::string block(size_t{64} * 1024, 'x');
  while (::write(here_.get(), block.data(), block.size()) > 0) {
  }
  int writable = 0;
  int readable = 0;
  std::unique_ptr<Watch> watch;
  watch = Watch::Create(
              *loop_, here_.get(), [&] { ++readable; },
              [&] {
                ++writable;
                watch->WatchWritable(false);
              })
              .value();
  watch->WatchReadable(true);
  watch->WatchWritable(true);
  EXPECT_EQ(loop_->PollFor(milliseconds(20)), 0U);
  std::string sink(size_t{1024} * 1024, ' ');
  ASSERT_GT(::read(there_.get(), sink.data(), sink.size()), 0);
  PollUntil([&] { return writable == 1; });
  loop_->PollFor(milliseconds(20));
  EXPECT_EQ(writable, 1);
  EXPECT_EQ(readable, 0);
}

TEST_F(EventTest, HangUpIsReadable) {
  int calls = 0;
  std::unique_ptr<Watch> watch;
  watch = Watch::Create(*loop_, here_.get(), [&] {
            ++calls;
            watch->Stop();
          }).value();
  watch->WatchReadable(true);
  there_.Reset();
  PollUntil([&] { return calls == 1; });
}

TEST_F(EventTest, CallbackMayDestroyItsOwnWatch) {
  int calls = 0;
  std::unique_ptr<Watch> watch;
  watch = Watch::Create(*loop_, here_.get(), [&] {
            ++calls;
            watch.reset();
          }).value();
  watch->WatchReadable(true);
  Send(2);
  PollUntil([&] { return calls == 1; });
  loop_->PollFor(milliseconds(20));
  EXPECT_EQ(calls, 1);
}

TEST_F(EventTest, WatchStoppedWhileItsCallIsPendingStaysSilent) {
  int calls = 0;
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const UniqueFd near(ends[0]);
  const UniqueFd far(ends[1]);
  std::unique_ptr<Watch> one;
  std::unique_ptr<Watch> two;
  // Both are ready in the same round: whichever runs first ends the other.
  const auto stop_both = [&] {
    ++calls;
    one->Stop();
    two->Stop();
  };
  one = Watch::Create(*loop_, here_.get(), stop_both).value();
  two = Watch::Create(*loop_, near.get(), stop_both).value();
  Send();
  ASSERT_EQ(::write(far.get(), "x", 1), 1);
  one->WatchReadable(true);
  two->WatchReadable(true);
  PollUntil([&] { return calls > 0; });
  loop_->PollFor(milliseconds(20));
  EXPECT_EQ(calls, 1);
}

TEST_F(EventTest, DescriptorNumberUsedAgainIsTheNewWatchs) {
  int old_calls = 0;
  int new_calls = 0;
  auto old_watch = Watch::Create(*loop_, here_.get(), [&] { ++old_calls; }).value();
  old_watch->WatchReadable(true);
  loop_->Poll();
  old_watch->Stop();
  const int number = here_.get();
  const UniqueFd event(::eventfd(1, EFD_CLOEXEC));
  here_.Reset();
  ASSERT_EQ(::dup2(event.get(), number), number);
  const UniqueFd duplicate(number);
  std::unique_ptr<Watch> new_watch;
  new_watch = Watch::Create(*loop_, number, [&] {
                ++new_calls;
                new_watch->Stop();
              }).value();
  new_watch->WatchReadable(true);
  PollUntil([&] { return new_calls == 1; });
  EXPECT_EQ(old_calls, 0);
}

using EventDeathTest = EventTest;

TEST_F(EventDeathTest, RegularFileCannotBeWatched) {
  const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  const auto watch = Watch::Create(*loop_, file.get(), [] {}).value();
  EXPECT_DEATH(
      {
        watch->WatchReadable(true);
        loop_->Poll();
      },
      "not_supported");
}

TEST_F(EventTest, TimerCallsOnceAfterItsDelay) {
  int calls = 0;
  Timer timer(*loop_, [&] { ++calls; });
  const auto start = std::chrono::steady_clock::now();
  timer.Start(milliseconds(20));
  EXPECT_TRUE(timer.running());
  loop_->Poll();
  EXPECT_EQ(calls, 0);
  PollUntil([&] { return calls == 1; });
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(20));
  EXPECT_FALSE(timer.running());
  loop_->PollFor(milliseconds(30));
  EXPECT_EQ(calls, 1);
}

TEST_F(EventTest, StoppedOrRestartedTimerForgetsTheFirstStart) {
  int calls = 0;
  Timer timer(*loop_, [&] { ++calls; });
  timer.Start(milliseconds(1));
  std::this_thread::sleep_for(milliseconds(5));
  timer.Stop();  // expired, not yet called
  loop_->PollFor(milliseconds(20));
  EXPECT_EQ(calls, 0);
  timer.Start(milliseconds(1));
  timer.Start(milliseconds(2));
  PollUntil([&] { return calls == 1; });
  loop_->PollFor(milliseconds(20));
  EXPECT_EQ(calls, 1);
}

TEST_F(EventTest, TimerMayDestroyItself) {
  int calls = 0;
  std::unique_ptr<Timer> timer;
  timer = std::make_unique<Timer>(*loop_, [&] {
    ++calls;
    timer.reset();
  });
  timer->Start(milliseconds(0));
  PollUntil([&] { return calls == 1; });
}

TEST(GateTest, ClosesAtOnceWhenEmptyAndAfterTheLastPassOtherwise) {
  Gate gate;
  int closed = 0;
  gate.Close([&] { ++closed; });
  EXPECT_EQ(closed, 1);
  EXPECT_FALSE(gate.Enter().has_value());
  gate.Open();

  std::optional<Gate::Pass> one = gate.Enter();
  std::optional<Gate::Pass> two = gate.Enter();
  ASSERT_TRUE(one && two);
  EXPECT_EQ(gate.in_flight(), 2U);
  Gate::Pass moved = std::move(*one);
  one.reset();
  EXPECT_EQ(gate.in_flight(), 2U);
  gate.Close([&] { ++closed; });
  two.reset();
  EXPECT_EQ(closed, 1);
  { const Gate::Pass last = std::move(moved); }
  EXPECT_EQ(closed, 2);
}

TEST(GateTest, CallbackMayOpenTheGateAgain) {
  Gate gate;
  std::optional<Gate::Pass> pass = gate.Enter();
  gate.Close([&] { gate.Open(); });
  EXPECT_TRUE(gate.closed());
  pass.reset();
  EXPECT_FALSE(gate.closed());
  EXPECT_TRUE(gate.Enter().has_value());
}

}  // namespace
}  // namespace hull
