// A process's standard streams: pipes or a terminal on one side, the host's stream connections on
// the other.
//
// Bytes are moved only as fast as the receiving side takes them: at most one buffer is held here,
// the rest waits in the pipe and so holds the process up. All classes live on the agent's loop.
// Each has two owners, the process's record and the operation under way: what is being delivered
// when the record goes (Delete) is delivered to its end.
//
// Detaching: when the host's connection breaks, the stream waits for the next one; the process is
// not told (a terminal does not hang up). What the broken connection had not taken is kept for the
// next. A new connection to a stream replaces the one before.
// Closing: a byte that the host sends on stdout's or stderr's connection closes the pipe, so that
// the process sees what `| head` would show it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "guest-agent/protocol/agent.pb.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::agent {

// Moves bytes from a source to a sink through one buffer; what the two kinds of stream share.
class Pump {
 protected:
  using Descriptor = std::shared_ptr<boost::asio::posix::stream_descriptor>;

  // Allocated, but not touched, with the first connection: an unused stream costs no memory.
  void AllocateBuffer();
  bool empty() const { return begin_ == end_; }

  static constexpr size_t kBufferBytes = 64 * 1024;

  std::unique_ptr<std::byte[]> buffer_;
  size_t begin_ = 0;  // of what is read and not yet written
  size_t end_ = 0;
  bool reading_ = false;
  bool writing_ = false;
  bool ended_ = false;  // the source has given its last byte
};

// Guest to host: stdout, stderr, or what a terminal shows.
class OutputStream : private Pump, public std::enable_shared_from_this<OutputStream> {
 public:
  // Takes over the reading end.
  static std::shared_ptr<OutputStream> Create(boost::asio::io_context& io, UniqueFd source);

  // Delivers to `socket` from now on. At the end of the source the socket's sending side is shut
  // down, and the socket closed when the host closes it.
  void Attach(UniqueFd socket);
  // For pipes, after Attach: a byte from the host closes the source.
  void WatchReader();

 private:
  OutputStream(boost::asio::io_context& io, UniqueFd source);
  void CloseSource();
  void Continue();
  void Read();
  void Write();
  void Finish();

  boost::asio::io_context& io_;
  boost::asio::posix::stream_descriptor source_;
  Descriptor socket_;  // null: nobody is attached
  // The last connection that a byte may come on, also when nothing can be sent on it any more.
  std::weak_ptr<boost::asio::posix::stream_descriptor> watched_;
  std::byte notice_{};
};

// Host to guest: stdin, or what is typed into a terminal.
class InputStream : private Pump, public std::enable_shared_from_this<InputStream> {
 public:
  // Takes over the writing end. `close_at_end`: the host's end of file closes it, as for a pipe; a
  // terminal has no such end.
  static std::shared_ptr<InputStream> Create(boost::asio::io_context& io, UniqueFd sink,
                                             bool close_at_end);

  // Takes input from `socket` from now on. Once the sink is closed, or nobody reads it any more,
  // the socket is closed at once.
  void Attach(UniqueFd socket);

 private:
  InputStream(boost::asio::io_context& io, UniqueFd sink, bool close_at_end);
  void Continue();
  void Read();
  void Write();
  void CloseSink();

  boost::asio::io_context& io_;
  boost::asio::posix::stream_descriptor sink_;
  const bool close_at_end_;
  Descriptor socket_;
};

// The descriptors that crun is started with; an invalid one is /dev/null.
struct ChildStreams {
  UniqueFd input;
  UniqueFd output;
  UniqueFd error;
};

// All streams of one process.
class ProcessStdio {
 public:
  // Makes the pipes that `stdio` asks for, owned by `owner` and `group`, so that the process may
  // open its own /dev/stdout again. A terminal's come later, by SetTerminal.
  static Result<std::unique_ptr<ProcessStdio>> Create(boost::asio::io_context& io,
                                                      const v1::Stdio& stdio, uid_t owner,
                                                      gid_t group);

  // The child's ends; meaningful once.
  ChildStreams TakeChildStreams() { return std::move(child_); }

  bool terminal() const { return terminal_; }
  // The terminal's master side, from crun.
  Status SetTerminal(UniqueFd master);
  // kUnavailable when there is no terminal (yet).
  Status Resize(const v1::TerminalSize& size);

  // Whether the process has such a stream: kNotFound, or kUnavailable for a terminal not made yet.
  Status Check(v1::StreamOpen::Kind kind) const;
  // After Check. `socket` must be connected.
  void Attach(v1::StreamOpen::Kind kind, UniqueFd socket);

 private:
  explicit ProcessStdio(boost::asio::io_context& io) : io_(io) {}

  boost::asio::io_context& io_;
  bool terminal_ = false;
  UniqueFd master_;  // for Resize
  ChildStreams child_;
  std::shared_ptr<InputStream> input_;
  std::shared_ptr<OutputStream> output_;
  std::shared_ptr<OutputStream> error_;
};

}  // namespace hull::agent
