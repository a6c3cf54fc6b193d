#include "vmm/machine/memory_pinner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>

namespace hull {
namespace {

constexpr uint64_t kMiB = 1ULL << 20U;

GuestRange Range(uint64_t start, uint64_t size_bytes) {
  return *GuestRange::Make(GuestAddress(start), size_bytes);
}

// Writes down what it is asked for.
class MemoryPinnerTest : public testing::Test {
 protected:
  MemoryPinner::Steps Steps() {
    return {.populate =
                [this](const GuestRange& range) {
                  const std::lock_guard lock(mutex_);
                  populated_.push_back(range);
                },
            .pin = [this](const GuestRange& range) -> Status {
              const std::lock_guard lock(mutex_);
              for (uint64_t at = range.start().value(); at < range.end().value();) {
                const auto piece = std::ranges::find_if(
                    populated_, [at](const GuestRange& r) { return r.start().value() == at; });
                if (piece == populated_.end()) {
                  return Fail(ErrorCode::kFailed, "{:#x} was not populated before", at);
                }
                at = piece->end().value();
              }
              pinned_.push_back(range);
              return {};
            }};
  }
  MemoryPinner::Events Events() {
    return {.on_progress =
                [this](const api::PinningProgress& progress) { progress_.push_back(progress); },
            .on_end = [this](Status status) { end_.set_value(std::move(status)); }};
  }
  bool Ended(std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    return ended_.wait_for(limit) == std::future_status::ready;
  }

  std::mutex mutex_;
  std::vector<GuestRange> populated_;
  std::vector<GuestRange> pinned_;
  std::vector<api::PinningProgress> progress_;
  std::promise<Status> end_;
  std::future<Status> ended_ = end_.get_future();
};

TEST_F(MemoryPinnerTest, APoolIsOnePieceAndNothingAroundItIsTouched) {
  const GuestRange pool = Range(42 * kMiB, 16 * kMiB);
  MemoryPinner pinner({pool}, MemoryPinner::ThreadsFor(pool.size_bytes()), Steps(), Events());
  pinner.Start();
  ASSERT_TRUE(Ended());
  EXPECT_EQ(populated_, std::vector{pool});
  EXPECT_EQ(pinned_, std::vector{pool});
}

TEST_F(MemoryPinnerTest, AllOfItIsPinnedInOrderAfterItWasPopulated) {
  for (const size_t threads : {1U, 2U, 7U}) {
    SCOPED_TRACE(threads);
    populated_.clear();
    pinned_.clear();
    end_ = {};
    ended_ = end_.get_future();
    MemoryPinner pinner({Range(0, 600 * kMiB), Range(4096 * kMiB, 2 * kMiB)}, threads, Steps(),
                        Events());
    pinner.Start();
    ASSERT_TRUE(Ended());
    const Status status = ended_.get();
    EXPECT_TRUE(status) << status.error().ToString();
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(pinned_, (std::vector{Range(0, 256 * kMiB), Range(256 * kMiB, 256 * kMiB),
                                    Range(512 * kMiB, 88 * kMiB), Range(4096 * kMiB, 2 * kMiB)}));
    EXPECT_EQ(populated_.size(), 4U + 4U + 2U + 1U);
  }
}

TEST_F(MemoryPinnerTest, PiecesEndWhereHugePagesDo) {
  MemoryPinner pinner({Range(3 * kMiB, 300 * kMiB)}, 1, Steps(), Events());
  pinner.Start();
  ASSERT_TRUE(Ended());
  EXPECT_EQ(pinned_, (std::vector{Range(3 * kMiB, 253 * kMiB), Range(256 * kMiB, 47 * kMiB)}));
  EXPECT_EQ(populated_.front(), Range(3 * kMiB, 61 * kMiB));
}

TEST_F(MemoryPinnerTest, WhatCannotBePinnedIsTheAnswerAndNothingFollows) {
  MemoryPinner::Steps steps = Steps();
  steps.pin = [this](const GuestRange& range) -> Status {
    const std::lock_guard lock(mutex_);
    pinned_.push_back(range);
    return Fail(ErrorCode::kExhausted, "no room at {:#x}", range.start().value());
  };
  MemoryPinner pinner({Range(0, 1024 * kMiB)}, 3, steps, Events());
  pinner.Start();
  ASSERT_TRUE(Ended());
  const Status status = ended_.get();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().ToString(), "no room at 0x0");
  EXPECT_EQ(pinned_.size(), 1U);
}

TEST_F(MemoryPinnerTest, ProgressIsToldOnceASecond) {
  MemoryPinner::Steps steps = Steps();
  steps.pin = [](const GuestRange&) -> Status {
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    return {};
  };
  MemoryPinner pinner({Range(0, 1280 * kMiB)}, 2, steps, Events());
  pinner.Start();
  ASSERT_TRUE(Ended());
  // After 1.2 and 2.4 of 3 seconds; on a busy machine it may be more often.
  ASSERT_GE(progress_.size(), 2U);
  EXPECT_LE(progress_.size(), 4U);
  EXPECT_EQ(progress_[0].total_bytes, 1280 * kMiB);
  EXPECT_GT(progress_[0].done_bytes, 0U);
  EXPECT_LT(progress_[0].done_bytes, progress_[1].done_bytes);
  EXPECT_LE(progress_[1].done_bytes, 1280 * kMiB);
}

TEST_F(MemoryPinnerTest, CancelledItEndsAfterThePieceAndSaysNothing) {
  std::promise<void> begun;
  std::atomic<bool> is_first = true;
  MemoryPinner::Steps steps = Steps();
  steps.populate = [&](const GuestRange&) {
    if (is_first.exchange(false)) begun.set_value();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  };
  // 8,192 pieces: minutes.
  MemoryPinner pinner({Range(0, 512ULL << 30U)}, 2, steps, Events());
  pinner.Start();
  begun.get_future().wait();
  const auto from = std::chrono::steady_clock::now();
  pinner.Cancel();
  EXPECT_LT(std::chrono::steady_clock::now() - from, std::chrono::seconds(5));
  EXPECT_FALSE(Ended(std::chrono::milliseconds(50)));
  EXPECT_TRUE(pinned_.empty());
}

TEST_F(MemoryPinnerTest, ThreadsGrowWithMemoryUpToTheProcessors) {
  EXPECT_EQ(MemoryPinner::ThreadsFor(1), 1U);
  EXPECT_EQ(MemoryPinner::ThreadsFor(128 * kMiB), 1U);
  const size_t most = std::clamp<size_t>(std::thread::hardware_concurrency(), 1, 8);
  EXPECT_LE(MemoryPinner::ThreadsFor(1ULL << 40U), most);
  EXPECT_GE(MemoryPinner::ThreadsFor(1ULL << 40U), 1U);
}

}  // namespace
}  // namespace hull
