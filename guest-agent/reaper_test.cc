#include "guest-agent/reaper.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

namespace hull::agent {
namespace {

TEST(ExitStatusTest, CodesAndSignals) {
  EXPECT_EQ(ExitStatus::FromWait(0x2a00, 5).code, 42);
  EXPECT_EQ(ExitStatus::FromWait(0x2a00, 5).signal, 0);
  EXPECT_EQ(ExitStatus::FromWait(SIGKILL, 5).code, 137);
  EXPECT_EQ(ExitStatus::FromWait(SIGKILL, 5).signal, 9);
  EXPECT_EQ(ExitStatus::FromWait(SIGSEGV | 0x80, 5).code, 139) << "with a core dump";
}

TEST(ExitTableTest, WatchedExitGoesToItsHandlerOnce) {
  ExitTable table;
  EXPECT_FALSE(table.Watch(7, [](ExitStatus) {}).has_value());
  EXPECT_TRUE(table.Record(7, {}).has_value());
  EXPECT_FALSE(table.Record(7, {}).has_value());
}

TEST(ExitTableTest, ExitBeforeTheWatchIsKeptWhileHeld) {
  ExitTable table;
  table.BeginHold();
  table.Record(7, {.code = 3});
  const auto status = table.Watch(7, [](ExitStatus) {});
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->code, 3);
  EXPECT_FALSE(table.Watch(7, [](ExitStatus) {}).has_value()) << "given once";
}

TEST(ExitTableTest, NothingIsKeptWithoutAHoldOrAfterTheLast) {
  ExitTable table;
  table.Record(7, {});
  EXPECT_EQ(table.kept(), 0u);
  table.BeginHold();
  table.BeginHold();
  table.Record(8, {});
  table.EndHold();
  EXPECT_EQ(table.kept(), 1u);
  table.EndHold();
  EXPECT_EQ(table.kept(), 0u);
}

TEST(ExitTableTest, KeptExitsAreCapped) {
  ExitTable table;
  table.BeginHold();
  for (pid_t pid = 1; pid < 10000; ++pid) table.Record(pid, {});
  EXPECT_EQ(table.kept(), 4096u);
}

TEST(ReaperTest, ReportsARealChildWhetherWatchedBeforeOrAfterItsEnd) {
  boost::asio::io_context io{1};
  Reaper reaper(io);
  ASSERT_TRUE(reaper.Start(true).has_value());
  Reaper::Hold hold(reaper);
  const pid_t early = ::fork();
  if (early == 0) ::_exit(11);
  io.run_for(std::chrono::milliseconds(100));
  int early_code = -1;
  reaper.Watch(early, [&](ExitStatus status) { early_code = status.code; });
  EXPECT_EQ(early_code, -1) << "never from within Watch";

  const pid_t late = ::fork();
  if (late == 0) {
    ::pause();
    ::_exit(0);
  }
  ExitStatus late_status;
  reaper.Watch(late, [&](ExitStatus status) { late_status = status; });
  ::kill(late, SIGTERM);
  io.restart();
  io.run_for(std::chrono::milliseconds(200));
  EXPECT_EQ(early_code, 11);
  EXPECT_EQ(late_status.code, 128 + SIGTERM);
  EXPECT_GT(late_status.at_ns, 0);
}

}  // namespace
}  // namespace hull::agent
