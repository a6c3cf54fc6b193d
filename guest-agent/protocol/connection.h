// One ttrpc connection: frames in and out of a stream socket. What both client and server are made
// of.
//
// Lives on the loop that runs its io_context, owned by shared_ptr because reads and writes under
// way hold it.
#pragma once

#include <array>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>

#include "guest-agent/protocol/frame.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::ttrpc {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // While more than this waits to be sent, nothing more is read: a peer that does not read its
  // answers cannot make us hold more than this and the answers to what was read before.
  static constexpr size_t kMaxQueuedBytes = size_t{8} << 20;

  using FrameHandler = std::function<Status(Frame)>;
  using CloseHandler = std::function<void(Error)>;

  // Takes over `socket`: connected, SOCK_STREAM.
  static Result<std::shared_ptr<Connection>> Create(boost::asio::io_context& io, UniqueFd socket);

  // Begins to read. An error from `on_frame` closes the connection. `on_close` is called once, with
  // the reason (kUnavailable: the peer closed in order), unless Close() came first.
  void Start(FrameHandler on_frame, CloseHandler on_close);

  // Queues a frame made by EncodeFrame. Dropped when the connection is closed.
  void Send(std::string frame);

  // Ends the connection without calling on_close.
  void Close();

  bool closed() const { return closed_; }
  boost::asio::io_context& io() { return io_; }

 private:
  Connection(boost::asio::io_context& io, boost::asio::generic::stream_protocol::socket socket)
      : io_(io), socket_(std::move(socket)) {}

  void Read();
  void Received(size_t size);
  void Write();
  void End(Error reason);

  boost::asio::io_context& io_;
  boost::asio::generic::stream_protocol::socket socket_;
  FrameDecoder decoder_;
  std::array<std::byte, 16384> input_;
  std::deque<std::string> output_;
  size_t output_bytes_ = 0;
  bool writing_ = false;
  bool read_paused_ = false;
  bool closed_ = false;
  FrameHandler on_frame_;
  CloseHandler on_close_;
};

}  // namespace hull::ttrpc
