#include "vmm/api/control.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace hull::api {
namespace {

TEST(ControlTest, RequestsAreReadBackAsWritten) {
  for (const Request& request :
       {Request{.id = 1, .method = Method::kState}, Request{.id = 2, .method = Method::kKill},
        Request{.id = 3, .method = Method::kStop, .timeout_ms = 5},
        Request{.id = 4, .method = Method::kConsole, .lines = 7},
        Request{.id = INT64_MAX, .method = Method::kCounters}}) {
    const auto read = ParseRequest(WriteRequest(request));
    ASSERT_TRUE(read.has_value()) << read.error().error.ToString();
    EXPECT_EQ(*read, request);
  }
}

TEST(ControlTest, ParametersHaveDefaults) {
  EXPECT_EQ(ParseRequest(R"({"id":1,"method":"stop"})")->timeout_ms, 10'000U);
  EXPECT_EQ(ParseRequest(R"({"id":1,"method":"console"})")->lines, 100U);
}

TEST(ControlTest, BadRequestsAreRefusedWithTheirId) {
  struct Case {
    const char* line;
    uint64_t id;
    const char* message;
  };
  const Case cases[] = {
      {"", 0, "not JSON: it ends too early"},
      {"hello", 0, "not JSON at byte 0"},
      {"[]", 0, "should be an object, is an array"},
      {"{}", 0, "id: is missing"},
      {R"({"id":-1,"method":"state"})", 0, "id: -1 is not a whole number"},
      {R"({"id":1.5,"method":"state"})", 0, "id: 1.5E0 is not a whole number"},
      {R"({"id":7})", 7, "method: is missing"},
      {R"({"id":7,"method":"dance"})", 7, "method: is not one of"},
      {R"({"id":7,"method":"state","lines":3})", 7, "unknown field \"lines\""},
      {R"({"id":7,"method":"stop","timeout_ms":"1"})", 7, "timeout_ms: should be a whole number"},
      {R"({"id":7,"method":"console","lines":0})", 7, "lines: 0 is not a whole number from 1"},
      {R"({"id":7,"method":"state"} x)", 0, "text behind the JSON document"},
      {R"({"id":7,"method":"state","a":[[[[1]]]]})", 0, "not JSON at byte"},
  };
  for (const Case& c : cases) {
    const auto read = ParseRequest(c.line);
    ASSERT_FALSE(read.has_value()) << c.line;
    EXPECT_EQ(read.error().id, c.id) << c.line;
    EXPECT_NE(read.error().error.ToString().find(c.message), std::string::npos)
        << c.line << " gave: " << read.error().error.ToString();
  }
  EXPECT_FALSE(ParseRequest(std::string(kMaxControlLineBytes + 1, ' ')).has_value());
}

TEST(ControlTest, HotPlugIsRefusedWithTheReason) {
  for (const char* const method : {"attach-device", "detach-device"}) {
    const auto read =
        ParseRequest(fmt::format(R"({{"id":7,"method":"{}","device":"0000:01:00.0"}})", method));
    ASSERT_FALSE(read.has_value());
    EXPECT_EQ(read.error().id, 7U);
    EXPECT_EQ(read.error().error.code(), ErrorCode::kUnsupported);
    EXPECT_NE(read.error().error.ToString().find("without ACPI"), std::string::npos);
  }
}

TEST(ControlTest, ErrorsTravelWithCodeAndMessage) {
  const auto read = ParseResponse(WriteError(9, Error(ErrorCode::kTimedOut, "too \"late\"")));
  ASSERT_TRUE(read.has_value()) << read.error().ToString();
  EXPECT_EQ(read->id, 9U);
  ASSERT_FALSE(read->result.has_value());
  EXPECT_EQ(read->result.error().code(), ErrorCode::kTimedOut);
  EXPECT_EQ(read->result.error().ToString(), "too \"late\"");
}

TEST(ControlTest, ResultsTravelAsJson) {
  const auto state = ParseResponse(
      WriteState(1, {.state = "running", .pid = 5, .cpus = 2, .memory_bytes = 99, .uptime_ms = 3}));
  ASSERT_TRUE(state.has_value() && state->result.has_value());
  EXPECT_EQ(*state->result,
            R"({"state":"running","pid":5,"cpus":2,"memory_bytes":99,"uptime_ms":3})");
  const auto console = ParseResponse(WriteConsole(2, "a\nb\xff"));
  ASSERT_TRUE(console.has_value() && console->result.has_value());
  EXPECT_EQ(*console->result, R"({"text":"a\nb?"})");
  const auto counters = ParseResponse(
      WriteCounters(3, {.vcpus = {{.name = "vcpu0", .values = {{"exits", 4}}}},
                        .devices = {{.name = "rng", .values = {{"requests", 1}, {"bytes", 64}}}}}));
  ASSERT_TRUE(counters.has_value() && counters->result.has_value());
  EXPECT_EQ(*counters->result, R"({"vcpus":[{"name":"vcpu0","exits":4}],)"
                               R"("devices":[{"name":"rng","requests":1,"bytes":64}]})");
  const auto done = ParseResponse(WriteDone(4));
  ASSERT_TRUE(done.has_value() && done->result.has_value());
  EXPECT_EQ(*done->result, "{}");
}

TEST(ControlTest, AnswersThatAreNoneAreRefused) {
  EXPECT_FALSE(ParseResponse(R"({"id":1})").has_value());
  EXPECT_FALSE(ParseResponse(R"({"id":1,"result":{},"error":{}})").has_value());
  EXPECT_FALSE(ParseResponse(R"({"id":1,"error":{"code":"failed"}})").has_value());
  EXPECT_FALSE(ParseResponse(R"({"id":1,"result":3})").has_value());
}

}  // namespace
}  // namespace hull::api
