#include "vmm/api/outcome.h"

#include <gtest/gtest.h>

namespace hull::api {
namespace {

TEST(OutcomeTest, ExitCodesAreThoseOfTheContract) {
  EXPECT_EQ(ExitCode(Cause::kPowerOff), 0);
  EXPECT_EQ(ExitCode(Cause::kReset), 0);
  EXPECT_EQ(ExitCode(Cause::kKilled), 20);
  EXPECT_EQ(ExitCode(Cause::kPanic), 21);
  EXPECT_EQ(ExitCode(Cause::kCrash), 22);
  EXPECT_EQ(ExitCode(Cause::kError), 23);
  EXPECT_EQ(ExitCode(Cause::kStart), 24);
}

TEST(OutcomeTest, EndedLineIsReadBackAsTheSameOutcome) {
  for (const Cause cause : {Cause::kPowerOff, Cause::kReset, Cause::kKilled, Cause::kPanic,
                            Cause::kCrash, Cause::kError, Cause::kStart}) {
    const Outcome outcome = {.cause = cause, .message = "a \"b\"", .console = "line\n\x1b[0m\n"};
    const std::string line = EndedLine(outcome);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    const auto read = ParseStatusLine(line);
    ASSERT_TRUE(read.has_value()) << read.error().ToString();
    EXPECT_EQ(*read, StatusEvent(outcome));
  }
}

TEST(OutcomeTest, StartedLineIsReadBack) {
  const auto read = ParseStatusLine(StartedLine());
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(*read, StatusEvent(Started{}));
}

TEST(OutcomeTest, PinningLineIsReadBackAsTheSameProgress) {
  const PinningProgress progress = {.done_bytes = 3ULL << 40U, .total_bytes = 16ULL << 40U};
  EXPECT_EQ(PinningLine(progress),
            "{\"event\":\"pinning\",\"done_bytes\":3298534883328,"
            "\"total_bytes\":17592186044416}\n");
  const auto read = ParseStatusLine(PinningLine(progress));
  ASSERT_TRUE(read.has_value()) << read.error().ToString();
  EXPECT_EQ(*read, StatusEvent(progress));
}

TEST(OutcomeTest, ConsoleThatIsNotUtf8StillMakesALine) {
  const auto read = ParseStatusLine(EndedLine({.message = "\xff", .console = "\xfe\x01"}));
  ASSERT_TRUE(read.has_value()) << read.error().ToString();
  const Outcome& outcome = std::get<Outcome>(*read);
  EXPECT_EQ(outcome.message, "?");
  EXPECT_EQ(outcome.console, std::string("?\x01"));
}

TEST(OutcomeTest, LinesThatAreNoStatusAreRefused) {
  EXPECT_FALSE(ParseStatusLine("").has_value());
  EXPECT_FALSE(ParseStatusLine("{}").has_value());
  EXPECT_FALSE(ParseStatusLine(R"({"event":"paused"})").has_value());
  EXPECT_FALSE(ParseStatusLine(R"({"event":"ended","cause":"boredom","message":"","console":""})"));
  EXPECT_FALSE(ParseStatusLine(R"({"event":"started","more":1})").has_value());
  EXPECT_FALSE(ParseStatusLine(R"({"event":"pinning"})").has_value());
  EXPECT_FALSE(ParseStatusLine(R"({"event":"pinning","done_bytes":0,"total_bytes":0})"));
  EXPECT_FALSE(ParseStatusLine(R"({"event":"pinning","done_bytes":2,"total_bytes":1})"));
  EXPECT_FALSE(ParseStatusLine(R"({"event":"pinning","done_bytes":-1,"total_bytes":1})"));
}

}  // namespace
}  // namespace hull::api
