#include "guest-agent/protocol/client.h"

#include <map>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "guest-agent/protocol/connection.h"
#include "guest-agent/protocol/frame.h"
#include "guest-agent/protocol/status.h"
#include "guest-agent/protocol/ttrpc.pb.h"

namespace hull::ttrpc {
namespace {

Result<std::string> PayloadOf(const std::string& body) {
  wire::Response response;
  if (!response.ParseFromString(body)) {
    return Fail(ErrorCode::kCorrupt, "ttrpc: the peer's answer is not a ttrpc response");
  }
  if (response.status().code() != 0) {
    return Fail(Error(ErrorCodeOf(response.status().code()),
                      std::move(*response.mutable_status()->mutable_message())));
  }
  return std::move(*response.mutable_payload());
}

}  // namespace

class Client::Impl : public std::enable_shared_from_this<Client::Impl> {
 public:
  explicit Impl(std::shared_ptr<Connection> connection)
      : connection_(std::move(connection)), io_(connection_->io()) {}

  void Start() {
    // The connection's handlers hold the client weakly: destroying the client must not wait for the
    // peer.
    std::weak_ptr<Impl> weak = weak_from_this();
    connection_->Start(
        [weak](Frame frame) -> Status {
          if (auto self = weak.lock()) return self->Received(std::move(frame));
          return {};
        },
        [weak](Error reason) {
          if (auto self = weak.lock()) self->Ended(std::move(reason));
        });
  }

  void Call(std::string_view service, std::string_view method, std::string payload,
            std::chrono::milliseconds timeout, RawHandler handler) {
    if (ended_) return Post(std::move(handler), Fail(Error(*ended_)));
    wire::Request request;
    request.set_service(std::string(service));
    request.set_method(std::string(method));
    request.set_payload(std::move(payload));
    request.set_timeout_nano(std::chrono::nanoseconds(timeout).count());
    const uint32_t id = next_id_;
    Result<std::string> frame =
        EncodeFrame(id, FrameType::kRequest, 0, request.SerializeAsString());
    if (!frame) return Post(std::move(handler), Fail(std::move(frame).error()));
    next_id_ += 2;
    Pending& pending = pending_[id];
    pending.handler = std::move(handler);
    pending.what = std::string(method);
    if (timeout > kNoTimeout) StartTimer(id, pending, timeout);
    connection_->Send(std::move(*frame));
  }

  void OnClosed(std::function<void(Error)> handler) {
    if (!ended_) {
      on_closed_ = std::move(handler);
      return;
    }
    boost::asio::post(io_, [handler = std::move(handler), error = *ended_] { handler(error); });
  }

  void Shutdown() {
    connection_->Close();
    ended_ = Error(ErrorCode::kCancelled, "the connection was closed on this side");
    for (auto& [id, pending] : std::exchange(pending_, {})) {
      Post(std::move(pending.handler), Fail(Error(*ended_).Within(pending.what)));
    }
  }

  bool closed() const { return ended_.has_value(); }
  boost::asio::io_context& io() { return io_; }

 private:
  struct Pending {
    RawHandler handler;
    std::string what;
    std::unique_ptr<boost::asio::steady_timer> timer;
  };

  void Post(RawHandler handler, Result<std::string> result) {
    boost::asio::post(io_, [handler = std::move(handler), result = std::move(result)]() mutable {
      handler(std::move(result));
    });
  }

  void StartTimer(uint32_t id, Pending& pending, std::chrono::milliseconds timeout) {
    pending.timer = std::make_unique<boost::asio::steady_timer>(io_, timeout);
    pending.timer->async_wait(
        [weak = weak_from_this(), id, timeout](const boost::system::error_code& cancelled) {
          const auto self = weak.lock();
          if (cancelled || !self) return;
          const auto found = self->pending_.find(id);
          if (found == self->pending_.end()) return;
          Pending late = std::move(found->second);
          self->pending_.erase(found);
          late.handler(
              Fail(ErrorCode::kTimedOut, "{}: no answer within {} ms", late.what, timeout.count()));
        });
  }

  Status Received(Frame frame) {
    if (frame.type != FrameType::kResponse) {
      return Fail(ErrorCode::kCorrupt, "ttrpc: the peer sent a frame that only a client may send");
    }
    const auto found = pending_.find(frame.stream_id);
    if (found == pending_.end()) {
      // The answer to a call that timed out; an id that was never used is a broken peer.
      if (frame.stream_id % 2 == 1 && frame.stream_id < next_id_) return {};
      return Fail(ErrorCode::kCorrupt, "ttrpc: the peer answered a call that was never made");
    }
    Pending pending = std::move(found->second);
    pending_.erase(found);
    pending.timer.reset();
    pending.handler(PayloadOf(frame.data));
    return {};
  }

  void Ended(Error reason) {
    ended_ = reason;
    for (auto& [id, pending] : std::exchange(pending_, {})) {
      pending.timer.reset();
      pending.handler(Fail(Error(reason).Within(pending.what)));
    }
    if (on_closed_) std::exchange(on_closed_, nullptr)(std::move(reason));
  }

  std::shared_ptr<Connection> connection_;
  boost::asio::io_context& io_;
  std::map<uint32_t, Pending> pending_;
  std::optional<Error> ended_;
  std::function<void(Error)> on_closed_;
  uint32_t next_id_ = 1;
};

Result<std::unique_ptr<Client>> Client::Create(boost::asio::io_context& io, UniqueFd socket) {
  HULL_ASSIGN(std::shared_ptr<Connection> connection, Connection::Create(io, std::move(socket)));
  auto impl = std::make_shared<Impl>(std::move(connection));
  impl->Start();
  return std::unique_ptr<Client>(new Client(std::move(impl)));
}

Client::~Client() {
  impl_->Shutdown();
}

void Client::OnClosed(std::function<void(Error)> handler) {
  impl_->OnClosed(std::move(handler));
}

bool Client::closed() const {
  return impl_->closed();
}

void Client::CallRaw(std::string_view service, std::string_view method, std::string payload,
                     std::chrono::milliseconds timeout, RawHandler handler) {
  impl_->Call(service, method, std::move(payload), timeout, std::move(handler));
}

Result<std::string> Client::CallRawAndWait(std::string_view service, std::string_view method,
                                           std::string payload, std::chrono::milliseconds timeout) {
  std::optional<Result<std::string>> answer;
  CallRaw(service, method, std::move(payload), timeout,
          [&answer](Result<std::string> result) { answer = std::move(result); });
  boost::asio::io_context& io = impl_->io();
  // run_one() gives 0 when the context was stopped or has run dry before.
  if (io.stopped()) io.restart();
  while (!answer) {
    if (io.run_one() == 0) io.restart();
  }
  return *std::move(answer);
}

}  // namespace hull::ttrpc
