#include "guest-agent/protocol/connection.h"

#include <sys/socket.h>

#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/write.hpp>

namespace hull::ttrpc {

using boost::asio::generic::stream_protocol;

Result<std::shared_ptr<Connection>> Connection::Create(boost::asio::io_context& io,
                                                       UniqueFd socket) {
  int family = 0;
  int type = 0;
  socklen_t size = sizeof(int);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &family, &size) != 0) {
    return FailErrno("ttrpc: examine the socket");
  }
  size = sizeof(int);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_TYPE, &type, &size) != 0) {
    return FailErrno("ttrpc: examine the socket");
  }
  if (type != SOCK_STREAM) return Fail(ErrorCode::kInvalidArgument, "ttrpc: not a stream socket");
  stream_protocol::socket stream(io);
  boost::system::error_code failed;
  stream.assign(stream_protocol(family, 0), socket.get(), failed);
  if (failed) return Fail(Error::FromErrno(failed.value(), "ttrpc: watch the socket"));
  static_cast<void>(socket.Release());  // `stream` owns it now
  return std::shared_ptr<Connection>(new Connection(io, std::move(stream)));
}

void Connection::Start(FrameHandler on_frame, CloseHandler on_close) {
  on_frame_ = std::move(on_frame);
  on_close_ = std::move(on_close);
  Read();
}

void Connection::Read() {
  socket_.async_read_some(
      boost::asio::buffer(input_),
      [self = shared_from_this()](const boost::system::error_code& failed, size_t size) {
        if (self->closed_) return;
        if (failed == boost::asio::error::eof) {
          self->End(self->decoder_.AtBoundary()
                        ? Error(ErrorCode::kUnavailable, "the peer closed the connection")
                        : Error(ErrorCode::kCorrupt, "the connection ended within a message"));
        } else if (failed) {
          self->End(Error(ErrorCode::kUnavailable, "receive: " + failed.message()));
        } else {
          self->Received(size);
        }
      });
}

void Connection::Received(size_t size) {
  decoder_.Feed(std::span(input_).first(size));
  while (true) {
    Result<std::optional<Frame>> frame = decoder_.Next();
    if (!frame) return End(std::move(frame).error());
    if (!*frame) break;
    if (Status handled = on_frame_(*std::move(*frame)); !handled) {
      return End(std::move(handled).error());
    }
    if (closed_) return;
  }
  if (output_bytes_ > kMaxQueuedBytes) {
    read_paused_ = true;
  } else {
    Read();
  }
}

void Connection::Send(std::string frame) {
  if (closed_) return;
  output_bytes_ += frame.size();
  output_.push_back(std::move(frame));
  if (!writing_) Write();
}

void Connection::Write() {
  writing_ = true;
  boost::asio::async_write(
      socket_, boost::asio::buffer(output_.front()),
      [self = shared_from_this()](const boost::system::error_code& failed, size_t) {
        self->writing_ = false;
        if (self->closed_) return;
        if (failed) {
          return self->End(Error(ErrorCode::kUnavailable, "send: " + failed.message()));
        }
        self->output_bytes_ -= self->output_.front().size();
        self->output_.pop_front();
        if (!self->output_.empty()) self->Write();
        if (self->read_paused_ && self->output_bytes_ <= kMaxQueuedBytes) {
          self->read_paused_ = false;
          self->Read();
        }
      });
}

void Connection::Close() {
  if (closed_) return;
  closed_ = true;
  boost::system::error_code ignored;
  socket_.close(ignored);
  // The handlers may own this connection: let go of them here, or neither is ever freed. They may
  // also be running right now, so the last reference goes from the loop.
  boost::asio::post(io_, [frame = std::move(on_frame_), close = std::move(on_close_)] {});
  on_frame_ = nullptr;
  on_close_ = nullptr;
}

void Connection::End(Error reason) {
  if (closed_) return;
  const CloseHandler on_close = on_close_;
  Close();
  if (on_close) on_close(std::move(reason));
}

}  // namespace hull::ttrpc
