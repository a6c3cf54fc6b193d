// Client and server over a socket pair, and each against a peer that misbehaves.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "guest-agent/protocol/agent.pb.h"
#include "guest-agent/protocol/client.h"
#include "guest-agent/protocol/frame.h"
#include "guest-agent/protocol/server.h"
#include "guest-agent/protocol/status.h"
#include "guest-agent/protocol/stream_frame.h"
#include "guest-agent/protocol/ttrpc.pb.h"
#include "vmm/base/file.h"

namespace hull::ttrpc {
namespace {

using agent::v1::KillRequest;
using agent::v1::WaitRequest;
using agent::v1::WaitResponse;
using std::chrono::milliseconds;

constexpr std::string_view kService = "test.Service";
constexpr milliseconds kSoon{5000};

std::pair<UniqueFd, UniqueFd> SocketPair() {
  int fds[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

class TtrpcTest : public testing::Test {
 protected:
  void Connect() {
    auto [near, far] = SocketPair();
    ASSERT_TRUE(server_.Serve(std::move(far), [this](Error) { ++server_closed_; }).has_value());
    client_ = Client::Create(io_, std::move(near)).value();
  }
  // A server's connection whose other end is ours to misuse.
  UniqueFd ConnectRaw() {
    auto [near, far] = SocketPair();
    EXPECT_TRUE(server_
                    .Serve(std::move(far),
                           [this](Error error) {
                             ++server_closed_;
                             server_error_ = error.ToString();
                           })
                    .has_value());
    return std::move(near);
  }
  void RunFor(milliseconds time) {
    io_.restart();
    io_.run_for(time);
  }

  boost::asio::io_context io_{1};
  Server server_{io_};
  std::unique_ptr<Client> client_;
  int server_closed_ = 0;
  std::string server_error_;
};

TEST_F(TtrpcTest, AnswersATypedCall) {
  server_.Handle<WaitRequest, WaitResponse>(
      kService, "Wait", [](WaitRequest request, Reply<WaitResponse> reply) {
        WaitResponse response;
        response.set_exit_code(request.container_id() == "c" ? 7 : 0);
        reply(response);
      });
  Connect();
  WaitRequest request;
  request.set_container_id("c");
  const auto response = client_->CallAndWait<WaitResponse>(kService, "Wait", request, kSoon);
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->exit_code(), 7u);
}

TEST_F(TtrpcTest, ErrorsKeepTheirCodeAndMessage) {
  server_.HandleRaw(kService, "Fail", [](std::string, RawReply reply) {
    reply(Fail(ErrorCode::kNotFound, "no container {}", "web"));
  });
  Connect();
  const auto result = client_->CallRawAndWait(kService, "Fail", "", kSoon);
  EXPECT_EQ(result.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(result.error().message(), "no container web");
}

TEST_F(TtrpcTest, EveryErrorCodeSurvivesTheWire) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::kCorrupt); ++i) {
    const auto code = static_cast<ErrorCode>(i);
    EXPECT_EQ(ErrorCodeOf(static_cast<int32_t>(CodeOf(code))), code);
  }
}

TEST_F(TtrpcTest, UnknownMethodIsUnsupportedAndTheConnectionStays) {
  server_.HandleRaw(kService, "Echo", [](std::string payload, RawReply reply) { reply(payload); });
  Connect();
  EXPECT_EQ(client_->CallRawAndWait(kService, "Nothing", "", kSoon).error().code(),
            ErrorCode::kUnsupported);
  EXPECT_EQ(client_->CallRawAndWait(kService, "Echo", "x", kSoon).value(), "x");
}

TEST_F(TtrpcTest, LaterCallsOvertakeAnUnansweredOne) {
  std::optional<RawReply> held;
  server_.HandleRaw(kService, "Hold", [&](std::string, RawReply reply) { held = reply; });
  server_.HandleRaw(kService, "Echo", [](std::string payload, RawReply reply) { reply(payload); });
  Connect();
  std::string answer;
  client_->CallRaw(kService, "Hold", "", kNoTimeout,
                   [&](Result<std::string> result) { answer = result.value(); });
  EXPECT_EQ(client_->CallRawAndWait(kService, "Echo", "x", kSoon).value(), "x");
  EXPECT_EQ(answer, "");
  (*held)(std::string("late"));
  RunFor(milliseconds(50));
  EXPECT_EQ(answer, "late");
}

TEST_F(TtrpcTest, LargestPayloadsPassInBothDirections) {
  server_.HandleRaw(kService, "Echo", [](std::string payload, RawReply reply) { reply(payload); });
  Connect();
  const std::string large(kMaxDataBytes - 100, 'x');
  EXPECT_EQ(client_->CallRawAndWait(kService, "Echo", large, kSoon).value(), large);
}

TEST_F(TtrpcTest, TooLargeRequestFailsAndTheConnectionStays) {
  server_.HandleRaw(kService, "Echo", [](std::string payload, RawReply reply) { reply(payload); });
  Connect();
  EXPECT_EQ(client_->CallRawAndWait(kService, "Echo", std::string(kMaxDataBytes, 'x'), kSoon)
                .error()
                .code(),
            ErrorCode::kExhausted);
  EXPECT_TRUE(client_->CallRawAndWait(kService, "Echo", "x", kSoon).has_value());
}

TEST_F(TtrpcTest, TooLargeAnswerBecomesAnError) {
  server_.HandleRaw(kService, "Big", [](std::string, RawReply reply) {
    reply(std::string(kMaxDataBytes + 1, 'x'));
  });
  Connect();
  EXPECT_EQ(client_->CallRawAndWait(kService, "Big", "", kSoon).error().code(),
            ErrorCode::kExhausted);
}

TEST_F(TtrpcTest, DroppedReplyIsAnsweredWithAnError) {
  server_.HandleRaw(kService, "Drop", [](std::string, RawReply) {});
  Connect();
  EXPECT_EQ(client_->CallRawAndWait(kService, "Drop", "", kSoon).error().code(),
            ErrorCode::kFailed);
}

TEST_F(TtrpcTest, HandlerThatThrowsIsAnErrorOfItsCallAlone) {
  server_.HandleRaw(kService, "Memory",
                    [](std::string, const RawReply&) { throw std::bad_alloc(); });
  server_.HandleRaw(kService, "Other",
                    [](std::string, const RawReply&) { throw std::runtime_error("broken"); });
  Connect();
  EXPECT_EQ(client_->CallRawAndWait(kService, "Memory", "", kSoon).error().code(),
            ErrorCode::kExhausted);
  EXPECT_EQ(client_->CallRawAndWait(kService, "Other", "", kSoon).error().message(), "broken");
}

TEST_F(TtrpcTest, TimeoutLeavesTheConnectionUsable) {
  std::optional<RawReply> held;
  server_.HandleRaw(kService, "Hold", [&](std::string, RawReply reply) { held = reply; });
  server_.HandleRaw(kService, "Echo", [](std::string payload, RawReply reply) { reply(payload); });
  Connect();
  EXPECT_EQ(client_->CallRawAndWait(kService, "Hold", "", milliseconds(20)).error().code(),
            ErrorCode::kTimedOut);
  (*held)(std::string("too late"));
  EXPECT_EQ(client_->CallRawAndWait(kService, "Echo", "x", kSoon).value(), "x");
}

TEST_F(TtrpcTest, LosingTheConnectionFailsCallsUnderWayAndLaterOnes) {
  auto [near, far] = SocketPair();
  client_ = Client::Create(io_, std::move(near)).value();
  std::string closed;
  client_->OnClosed([&](Error error) { closed = error.ToString(); });
  ErrorCode code = ErrorCode::kFailed;
  client_->CallRaw(kService, "Any", "", kNoTimeout,
                   [&](Result<std::string> result) { code = result.error().code(); });
  RunFor(milliseconds(20));
  far.Reset();
  RunFor(milliseconds(50));
  EXPECT_EQ(code, ErrorCode::kUnavailable);
  EXPECT_NE(closed, "");
  EXPECT_TRUE(client_->closed());
  EXPECT_EQ(client_->CallRawAndWait(kService, "Any", "", kSoon).error().code(),
            ErrorCode::kUnavailable);
}

TEST_F(TtrpcTest, DestroyingTheClientCancelsItsCalls) {
  server_.HandleRaw(kService, "Hold",
                    [](std::string, RawReply reply) { static RawReply held = reply; });
  Connect();
  ErrorCode code = ErrorCode::kFailed;
  client_->CallRaw(kService, "Hold", "", kNoTimeout,
                   [&](Result<std::string> result) { code = result.error().code(); });
  client_.reset();
  RunFor(milliseconds(50));
  EXPECT_EQ(code, ErrorCode::kCancelled);
  EXPECT_EQ(server_closed_, 1);
  EXPECT_EQ(server_.connections(), 0u);
}

TEST_F(TtrpcTest, ReplyKnowsThatItsCallerHasGone) {
  std::optional<RawReply> held;
  server_.HandleRaw(kService, "Hold", [&](std::string, RawReply reply) { held = reply; });
  Connect();
  client_->CallRaw(kService, "Hold", "", kNoTimeout, [](Result<std::string>) {});
  RunFor(milliseconds(20));
  EXPECT_TRUE(held->wanted());
  client_.reset();
  RunFor(milliseconds(20));
  EXPECT_FALSE(held->wanted());
  (*held)(std::string("nobody"));
}

TEST_F(TtrpcTest, PeerThatBreaksTheProtocolLosesOnlyItsConnection) {
  server_.HandleRaw(kService, "Echo", [](std::string payload, RawReply reply) { reply(payload); });
  const std::string garbage[] = {
      std::string(64, '\xff'),                                     // length, type
      EncodeFrame(1, FrameType::kResponse, 0, "").value(),         // a client does not answer
      EncodeFrame(1, FrameType::kData, 0, "").value(),             // no stream is open
      EncodeFrame(2, FrameType::kRequest, 0, "").value(),          // a server's stream id
      EncodeFrame(1, FrameType::kRequest, 0, "\xff\xff").value(),  // not protobuf
      std::string("\0\0\0\x05", 4),                                // ends within a header
  };
  int expected = 0;
  for (const std::string& bytes : garbage) {
    UniqueFd peer = ConnectRaw();
    ASSERT_TRUE(WriteAll(peer.get(), bytes).has_value());
    ::shutdown(peer.get(), SHUT_WR);
    RunFor(milliseconds(20));
    EXPECT_EQ(server_closed_, ++expected);
    EXPECT_NE(server_error_, "the peer closed the connection");
  }
  Connect();
  EXPECT_EQ(client_->CallRawAndWait(kService, "Echo", "x", kSoon).value(), "x");
}

TEST_F(TtrpcTest, RequestToOpenAStreamIsUnsupported) {
  UniqueFd peer = ConnectRaw();
  wire::Request request;
  request.set_service(std::string(kService));
  ASSERT_TRUE(
      WriteAll(
          peer.get(),
          EncodeFrame(1, FrameType::kRequest, kFlagRemoteOpen, request.SerializeAsString()).value())
          .has_value());
  RunFor(milliseconds(20));
  char bytes[512];
  const ssize_t size = ::recv(peer.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
  ASSERT_GT(size, 10);
  wire::Response response;
  ASSERT_TRUE(response.ParseFromArray(bytes + 10, static_cast<int>(size) - 10));
  EXPECT_EQ(response.status().code(), static_cast<int>(StatusCode::kUnimplemented));
}

TEST_F(TtrpcTest, ClientSurvivesAServerThatMisbehaves) {
  const std::string garbage[] = {
      std::string(64, '\xff'),
      EncodeFrame(1, FrameType::kRequest, 0, "").value(),
      EncodeFrame(7, FrameType::kResponse, 0, "").value(),
      EncodeFrame(1, FrameType::kResponse, 0, "\xff\xff").value(),
  };
  for (const std::string& bytes : garbage) {
    auto [near, far] = SocketPair();
    client_ = Client::Create(io_, std::move(near)).value();
    ASSERT_TRUE(WriteAll(far.get(), bytes).has_value());
    EXPECT_EQ(client_->CallRawAndWait(kService, "Any", "", kSoon).error().code(),
              ErrorCode::kCorrupt);
  }
}

TEST_F(TtrpcTest, PeerThatNeverReadsIsNoLongerRead) {
  server_.HandleRaw(kService, "Big", [](std::string, RawReply reply) {
    reply(std::string(kMaxDataBytes / 2, 'x'));
  });
  UniqueFd peer = ConnectRaw();
  wire::Request request;
  request.set_service(std::string(kService));
  request.set_method("Big");
  request.set_payload(std::string(20000, 'p'));
  size_t sent = 0;
  for (uint32_t id = 1; id < 400; id += 2) {
    const std::string frame =
        EncodeFrame(id, FrameType::kRequest, 0, request.SerializeAsString()).value();
    const ssize_t size =
        ::send(peer.get(), frame.data(), frame.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < static_cast<ssize_t>(frame.size())) break;
    sent += frame.size();
    RunFor(milliseconds(5));
  }
  EXPECT_LT(sent, size_t{200} * 20000) << "the server went on reading";
}

TEST(StreamFrameTest, RoundTrip) {
  auto [near, far] = SocketPair();
  agent::v1::StreamOpen open;
  open.set_container_id("web");
  open.set_kind(agent::v1::StreamOpen::STDERR);
  ASSERT_TRUE(agent::SendStreamFrame(near.get(), open).has_value());
  ASSERT_TRUE(WriteAll(near.get(), "after").has_value());
  agent::v1::StreamOpen received;
  ASSERT_TRUE(agent::ReceiveStreamFrame(far.get(), received).has_value());
  EXPECT_EQ(received.container_id(), "web");
  EXPECT_EQ(received.kind(), agent::v1::StreamOpen::STDERR);
  char rest[16];
  EXPECT_EQ(::recv(far.get(), rest, sizeof(rest), 0), 5)
      << "bytes behind the frame belong to the stream";
}

TEST(StreamFrameTest, LengthAboveTheCapAndEarlyEndAreErrors) {
  auto [near, far] = SocketPair();
  ASSERT_TRUE(WriteAll(near.get(), std::string_view("\x00\x01\x00\x01", 4)).has_value());
  agent::v1::StreamOpen received;
  EXPECT_EQ(agent::ReceiveStreamFrame(far.get(), received).error().code(), ErrorCode::kCorrupt);
  ASSERT_TRUE(WriteAll(near.get(), std::string_view("\x00\x00", 2)).has_value());
  near.Reset();
  EXPECT_EQ(agent::ReceiveStreamFrame(far.get(), received).error().code(), ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace hull::ttrpc
