#include "runtime/supervisor_client.h"

#include <sys/socket.h>

#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "vmm/base/log.h"

namespace hull {

using std::chrono::milliseconds;

Result<ConnectedPair> MakeConnectedPair() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return FailErrno("make a pair of sockets");
  }
  return ConnectedPair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

class SupervisorClient::Impl : public std::enable_shared_from_this<SupervisorClient::Impl> {
 public:
  Impl(boost::asio::io_context& io, UniqueFd socket) : io_(io), socket_(io, socket.Release()) {}

  void Await() {
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       [self = shared_from_this()](boost::system::error_code error) {
                         if (!error) self->Receive();
                       });
  }

  void Receive() {
    std::vector<UniqueFd> none;
    const Result<size_t> got = ReceiveSome(socket_.native_handle(), text_, none);
    for (Result<boost::json::object> line = TakeLine(text_); line; line = TakeLine(text_)) {
      Handle(*line);
    }
    if (got && *got == 0) return Close();
    Await();
  }

  void Handle(const boost::json::object& message) {
    if (TextOf(message, "event") == "started") started_ = true;
    if (TextOf(message, "event") == "warning") log::Warn("{}", TextOf(message, "message"));
    if (TextOf(message, "event") == "pinning" && on_pinning_) {
      on_pinning_(static_cast<uint64_t>(IntegerOf(message, "done_bytes", 0)),
                  static_cast<uint64_t>(IntegerOf(message, "total_bytes", 0)));
    }
    if (Result<ContainerEnd> end = ContainerEndOf(message)) end_ = std::move(*end);
    const auto called = calls_.find(IntegerOf(message, "id", 0));
    if (called == calls_.end()) return;
    const Handler handler = std::move(called->second);
    calls_.erase(called);
    const boost::json::value* error = message.if_contains("error");
    if (error == nullptr || !error->is_object()) return handler({});
    const boost::json::object& what = error->get_object();
    handler(
        Fail(Error(static_cast<ErrorCode>(IntegerOf(what, "code", 0)), TextOf(what, "message"))));
  }

  void Close() {
    closed_ = true;
    boost::system::error_code ignored;
    socket_.close(ignored);
    for (auto& [id, handler] : std::exchange(calls_, {})) {
      handler(Fail(ErrorCode::kUnavailable, "the container's supervisor is gone"));
    }
  }

  boost::asio::io_context& io_;
  boost::asio::posix::stream_descriptor socket_;
  std::string text_;
  std::map<int64_t, Handler> calls_;
  Pinning on_pinning_;
  int64_t next_id_ = 1;
  bool started_ = false;
  bool closed_ = false;
  std::optional<ContainerEnd> end_;
};

SupervisorClient::SupervisorClient(boost::asio::io_context& io, UniqueFd socket)
    : impl_(std::make_shared<Impl>(io, std::move(socket))) {
  impl_->Await();
}

SupervisorClient::~SupervisorClient() {
  impl_->calls_.clear();
  boost::system::error_code ignored;
  impl_->socket_.close(ignored);
}

void SupervisorClient::Call(boost::json::object request, Handler handler,
                            const std::vector<int>& descriptors) {
  const int64_t id = impl_->next_id_++;
  request["id"] = id;
  Status sent = Fail(ErrorCode::kUnavailable, "the container's supervisor is gone");
  if (!impl_->closed_) sent = SendLine(impl_->socket_.native_handle(), request, descriptors);
  if (sent) {
    impl_->calls_[id] = std::move(handler);
  } else {
    boost::asio::post(impl_->io_, [handler = std::move(handler), sent = std::move(sent)] {
      handler(Fail(Error(ErrorCode::kUnavailable, sent.error().ToString())));
    });
  }
}

Status SupervisorClient::CallAndWait(boost::json::object request, milliseconds limit) {
  auto answer = std::make_shared<std::optional<Status>>();
  Call(std::move(request), [answer](Status status) { *answer = std::move(status); });
  if (!RunUntil([&answer] { return answer->has_value(); }, limit)) {
    return Fail(ErrorCode::kTimedOut, "the container's supervisor does not answer");
  }
  if (!answer->has_value()) impl_->io_.poll();
  if (!answer->has_value()) {
    return Fail(ErrorCode::kUnavailable, "the container's supervisor is gone");
  }
  return **answer;
}

void SupervisorClient::OnPinning(Pinning handler) {
  impl_->on_pinning_ = std::move(handler);
}

bool SupervisorClient::started() const {
  return impl_->started_;
}
const std::optional<ContainerEnd>& SupervisorClient::end() const {
  return impl_->end_;
}
bool SupervisorClient::closed() const {
  return impl_->closed_;
}

bool SupervisorClient::RunUntil(const std::function<bool()>& done,
                                std::optional<milliseconds> limit) {
  bool late = false;
  boost::asio::steady_timer timer(impl_->io_);
  if (limit) {
    timer.expires_after(*limit);
    timer.async_wait([&late](boost::system::error_code error) { late = !error; });
  }
  while (!done() && !closed() && !late) impl_->io_.run_one();
  timer.cancel();
  // Let the cancelled timer's handler run before `late` is gone.
  impl_->io_.poll();
  return done() || closed();
}

}  // namespace hull
