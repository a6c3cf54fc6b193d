#include "runtime/supervisor_connection.h"

#include <sys/socket.h>

#include <utility>
#include <vector>

#include <boost/json/serialize.hpp>

namespace hull {

void SupervisorConnection::Start(RequestHandler on_request, CloseHandler on_close) {
  on_request_ = std::move(on_request);
  on_close_ = std::move(on_close);
  Await();
}

void SupervisorConnection::Await() {
  if (!socket_.is_open()) return;
  socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                     [self = shared_from_this()](boost::system::error_code error) {
                       if (!error) self->Receive();
                     });
}

void SupervisorConnection::Receive() {
  const Result<size_t> got = ReceiveSome(socket_.native_handle(), text_, descriptors_);
  if (got && *got == 0) return End();
  std::vector<boost::json::object> requests;
  while (true) {
    Result<boost::json::object> request = TakeLine(text_);
    if (!request && request.error().code() == ErrorCode::kNotFound) break;
    if (!request) return End();
    requests.push_back(std::move(*request));
  }
  // unix(7): what is received at once ends with the bytes that descriptors came with. So they are
  // of the last request, or of the one whose rest is still to come.
  for (size_t i = 0; i < requests.size() && socket_.is_open(); ++i) {
    const bool last = i + 1 == requests.size() && text_.empty();
    on_request_(shared_from_this(), requests[i],
                last ? std::exchange(descriptors_, {}) : std::vector<UniqueFd>());
  }
  Await();
}

void SupervisorConnection::End() {
  Close();
  if (on_close_) std::exchange(on_close_, {})(shared_from_this());
}

void SupervisorConnection::Send(const boost::json::object& message) {
  if (!socket_.is_open()) return;
  const std::string line = boost::json::serialize(message) + "\n";
  const ssize_t sent =
      send(socket_.native_handle(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(line.size())) End();
}

void SupervisorConnection::Answer(const boost::json::object& request, const Status& status) {
  boost::json::object answer{{"id", IntegerOf(request, "id", 0)}};
  if (status) {
    answer["result"] = boost::json::object();
  } else {
    answer["error"] = {{"code", static_cast<int>(status.error().code())},
                       {"message", status.error().ToString()}};
  }
  Send(answer);
}

void SupervisorConnection::Close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

}  // namespace hull
