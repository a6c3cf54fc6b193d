#include "guest-agent/protocol/server.h"

#include <exception>
#include <new>
#include <utility>

#include "guest-agent/protocol/connection.h"
#include "guest-agent/protocol/frame.h"
#include "guest-agent/protocol/status.h"
#include "guest-agent/protocol/ttrpc.pb.h"

namespace hull::ttrpc {
namespace {

// A message for the user, not a place to store things.
constexpr size_t kMaxErrorBytes = 16 * 1024;

std::string ResponseFor(Result<std::string> payload) {
  wire::Response response;
  if (payload) {
    response.set_payload(*std::move(payload));
  } else {
    response.mutable_status()->set_code(static_cast<int32_t>(CodeOf(payload.error().code())));
    response.mutable_status()->set_message(payload.error().ToString().substr(0, kMaxErrorBytes));
  }
  return response.SerializeAsString();
}

}  // namespace

struct Server::Session {
  std::shared_ptr<Connection> connection;
  std::set<uint32_t> calls;  // under way
};

class RawReply::Call {
 public:
  Call(std::weak_ptr<Server::Session> session, uint32_t stream_id);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call();

  void Answer(Result<std::string> payload);
  bool wanted() const;

 private:
  std::weak_ptr<Server::Session> session_;
  uint32_t stream_id_;
  bool answered_ = false;
};

RawReply::Call::Call(std::weak_ptr<Server::Session> session, uint32_t stream_id)
    : session_(std::move(session)), stream_id_(stream_id) {}

RawReply::Call::~Call() {
  if (!answered_) Answer(Fail(ErrorCode::kFailed, "the call was dropped without an answer"));
}

void RawReply::Call::Answer(Result<std::string> payload) {
  if (std::exchange(answered_, true)) return;
  const std::shared_ptr<Server::Session> session = session_.lock();
  if (!session || session->connection->closed()) return;
  session->calls.erase(stream_id_);
  Result<std::string> frame =
      EncodeFrame(stream_id_, FrameType::kResponse, 0, ResponseFor(std::move(payload)));
  if (!frame) {
    frame = EncodeFrame(stream_id_, FrameType::kResponse, 0,
                        ResponseFor(Fail(std::move(frame).error())));
  }
  if (frame) session->connection->Send(*std::move(frame));
}

bool RawReply::Call::wanted() const {
  const std::shared_ptr<Server::Session> session = session_.lock();
  return !answered_ && session && !session->connection->closed();
}

void RawReply::operator()(Result<std::string> payload) const {
  call_->Answer(std::move(payload));
}

bool RawReply::wanted() const {
  return call_->wanted();
}

Server::~Server() {
  for (const std::shared_ptr<Session>& session : connections_) session->connection->Close();
}

void Server::HandleRaw(std::string_view service, std::string_view method, RawHandler handler) {
  methods_.insert_or_assign(std::string(service).append("/").append(method), std::move(handler));
}

Status Server::Serve(UniqueFd socket, std::function<void(Error)> on_closed) {
  auto session = std::make_shared<Session>();
  HULL_ASSIGN(session->connection, Connection::Create(io_, std::move(socket)));
  connections_.insert(session);
  // Handlers hold the session weakly: connections_ owns it, and it owns the connection.
  std::weak_ptr<Session> weak = session;
  session->connection->Start(
      [this, weak](Frame frame) -> Status {
        const std::shared_ptr<Session> owner = weak.lock();
        if (!owner) return {};
        if (frame.type != FrameType::kRequest || frame.stream_id % 2 == 0) {
          return Fail(ErrorCode::kCorrupt,
                      "ttrpc: the peer sent a frame that a client may not send");
        }
        if (owner->calls.contains(frame.stream_id)) {
          return Fail(ErrorCode::kCorrupt, "ttrpc: the peer used stream {} twice", frame.stream_id);
        }
        RawReply reply(std::make_shared<RawReply::Call>(owner, frame.stream_id));
        if (owner->calls.size() >= kMaxCalls) {
          reply(Fail(ErrorCode::kExhausted, "more than {} calls under way", kMaxCalls));
          return {};
        }
        owner->calls.insert(frame.stream_id);
        if ((frame.flags & kFlagRemoteOpen) != 0) {
          reply(Fail(ErrorCode::kUnsupported, "streaming calls are not supported"));
          return {};
        }
        return Dispatch(frame.data, std::move(reply));
      },
      [this, weak, on_closed = std::move(on_closed)](Error reason) {
        if (const std::shared_ptr<Session> owner = weak.lock()) connections_.erase(owner);
        if (on_closed) on_closed(std::move(reason));
      });
  return {};
}

Status Server::Dispatch(const std::string& body, RawReply reply) {
  wire::Request request;
  if (!request.ParseFromString(body)) {
    return Fail(ErrorCode::kCorrupt, "ttrpc: the peer's request is not a ttrpc request");
  }
  const auto method = methods_.find(request.service() + "/" + request.method());
  if (method == methods_.end()) {
    reply(Fail(ErrorCode::kUnsupported, "no method {} in service {}", request.method(),
               request.service()));
    return {};
  }
  // hull's functions do not throw, but the library's do when memory runs out: that is the request's
  // failure, not the server's.
  try {
    method->second(std::move(*request.mutable_payload()), reply);
  } catch (const std::bad_alloc&) {
    reply(Fail(ErrorCode::kExhausted, "out of memory"));
  } catch (const std::exception& failure) {
    reply(Fail(ErrorCode::kFailed, "{}", failure.what()));
  }
  return {};
}

}  // namespace hull::ttrpc
