#include "vmm/machine/guest_life.h"

#include <gtest/gtest.h>

#include <thread>

namespace hull {
namespace {

using std::chrono::milliseconds;

class GuestLifeTest : public testing::Test {
 protected:
  // Works the control loop until the end has been noticed, or for `limit`.
  void Work(milliseconds limit = milliseconds(100)) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (ends_ == 0 && std::chrono::steady_clock::now() < deadline) {
      loop_->PollFor(milliseconds(10));
    }
    loop_->Poll();
  }

  std::unique_ptr<EventLoop> loop_ = std::move(EventLoop::Create()).value();
  int ends_ = 0;
  GuestLife life_{*loop_, [this] { ++ends_; }};
};

TEST_F(GuestLifeTest, FirstReportedEndCounts) {
  EXPECT_FALSE(life_.ending());
  life_.End(api::Cause::kKilled, "first");
  EXPECT_TRUE(life_.ending());
  life_.End(api::Cause::kCrash, "second");
  EXPECT_EQ(ends_, 0);  // never inside the report
  Work();
  EXPECT_EQ(ends_, 1);
  EXPECT_EQ(life_.outcome(), (api::Outcome{.cause = api::Cause::kKilled, .message = "first"}));
}

TEST_F(GuestLifeTest, EndsReportedByManyThreadsAreOne) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this] { life_.End(api::Cause::kCrash, "crash"); });
  }
  for (std::thread& thread : threads) thread.join();
  Work();
  EXPECT_EQ(ends_, 1);
}

TEST_F(GuestLifeTest, PowerOffIsOrderly) {
  life_.OnPowerOff();
  EXPECT_EQ(life_.outcome().cause, api::Cause::kPowerOff);
}

TEST_F(GuestLifeTest, ResetOfAGuestThatHasComeUpIsAReset) {
  life_.OnPanicDriverFound();
  life_.OnReset();
  EXPECT_EQ(life_.outcome().cause, api::Cause::kReset);
}

TEST_F(GuestLifeTest, ResetBeforeTheDriversIsACrash) {
  life_.OnReset();
  EXPECT_EQ(life_.outcome().cause, api::Cause::kCrash);
  EXPECT_NE(life_.outcome().message.find("before its console came up"), std::string::npos);
}

TEST_F(GuestLifeTest, ResetAfterAPanicIsThePanic) {
  life_.OnPanicDriverFound();
  life_.OnPanic();
  EXPECT_FALSE(life_.ending());  // its last words are still to come
  life_.OnReset();
  EXPECT_EQ(life_.outcome().cause, api::Cause::kPanic);
}

TEST_F(GuestLifeTest, PowerOffAfterAPanicIsThePanic) {
  life_.OnPanic();
  life_.OnPowerOff();
  EXPECT_EQ(life_.outcome().cause, api::Cause::kPanic);
}

TEST_F(GuestLifeTest, PanickedGuestThatGoesOnIsEnded) {
  life_.OnPanic();
  life_.OnPanic();
  Work(GuestLife::kLastWordsLimit + milliseconds(2000));
  EXPECT_EQ(ends_, 1);
  EXPECT_EQ(life_.outcome().cause, api::Cause::kPanic);
}

}  // namespace
}  // namespace hull
