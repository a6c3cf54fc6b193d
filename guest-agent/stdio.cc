#include "guest-agent/stdio.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

namespace hull::agent {
namespace {

using boost::asio::posix::stream_descriptor;
using boost::system::error_code;

// Keeps a connection whose last byte has been sent until the host has closed it: closing first
// could make what is still in flight a loss.
class Linger : public std::enable_shared_from_this<Linger> {
 public:
  explicit Linger(std::shared_ptr<stream_descriptor> socket) : socket_(std::move(socket)) {}
  void Wait() {
    socket_->async_read_some(boost::asio::buffer(ignored_),
                             [self = shared_from_this()](const error_code& failed, size_t) {
                               if (!failed) self->Wait();
                             });
  }

 private:
  std::shared_ptr<stream_descriptor> socket_;
  std::array<std::byte, 512> ignored_;
};

UniqueFd Duplicate(const UniqueFd& fd) {
  return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
}

struct Pipe {
  UniqueFd reader;
  UniqueFd writer;
};

Result<Pipe> MakePipe(uid_t owner, gid_t group) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return FailErrno("make a pipe");
  Pipe pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
  if ((owner != 0 || group != 0) && ::fchown(pipe.reader.get(), owner, group) != 0) {
    return FailErrno("give a pipe to user {}", owner);
  }
  return pipe;
}

}  // namespace

void Pump::AllocateBuffer() {
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<std::byte[]>(kBufferBytes);
}

OutputStream::OutputStream(boost::asio::io_context& io, UniqueFd source)
    : io_(io), source_(io, source.Release()) {}

std::shared_ptr<OutputStream> OutputStream::Create(boost::asio::io_context& io, UniqueFd source) {
  return std::shared_ptr<OutputStream>(new OutputStream(io, std::move(source)));
}

void OutputStream::Attach(UniqueFd socket) {
  AllocateBuffer();
  error_code ignored;
  if (socket_) socket_->close(ignored);
  watched_.reset();
  socket_ = std::make_shared<stream_descriptor>(io_, socket.Release());
  Continue();
}

void OutputStream::WatchReader() {
  if (!socket_) return;
  watched_ = socket_;
  socket_->async_read_some(
      boost::asio::buffer(&notice_, 1),
      [self = shared_from_this(), socket = socket_](const error_code& failed, size_t) {
        // A broken connection is Write's to notice; a half-closed one is no news. Write may notice
        // first, though the byte was sent before the end: it counts until somebody else attaches.
        if (self->watched_.lock() != socket) return;
        self->watched_.reset();
        if (!failed) self->CloseSource();
      });
}

void OutputStream::CloseSource() {
  error_code ignored;
  source_.close(ignored);
  begin_ = end_ = 0;
  ended_ = true;
  socket_.reset();
}

void OutputStream::Continue() {
  if (!socket_ || reading_ || writing_) return;
  if (!empty()) {
    Write();
  } else if (ended_) {
    Finish();
  } else {
    Read();
  }
}

void OutputStream::Read() {
  reading_ = true;
  source_.async_read_some(boost::asio::buffer(buffer_.get(), kBufferBytes),
                          [self = shared_from_this()](const error_code& failed, size_t size) {
                            self->reading_ = false;
                            self->begin_ = 0;
                            self->end_ = size;
                            // A pipe ends with end of file, a terminal whose last process has gone
                            // with EIO.
                            if (failed) self->ended_ = true;
                            self->Continue();
                          });
}

void OutputStream::Write() {
  writing_ = true;
  socket_->async_write_some(
      boost::asio::buffer(buffer_.get() + begin_, end_ - begin_),
      [self = shared_from_this(), socket = socket_](const error_code& failed, size_t size) {
        self->writing_ = false;
        // Nothing is left to send when the source was closed meanwhile.
        if (!self->empty()) self->begin_ += size;
        if (failed && self->socket_ == socket) self->socket_.reset();
        self->Continue();
      });
}

void OutputStream::Finish() {
  ::shutdown(socket_->native_handle(), SHUT_WR);
  std::make_shared<Linger>(std::exchange(socket_, nullptr))->Wait();
}

InputStream::InputStream(boost::asio::io_context& io, UniqueFd sink, bool close_at_end)
    : io_(io), sink_(io, sink.Release()), close_at_end_(close_at_end) {}

std::shared_ptr<InputStream> InputStream::Create(boost::asio::io_context& io, UniqueFd sink,
                                                 bool close_at_end) {
  return std::shared_ptr<InputStream>(new InputStream(io, std::move(sink), close_at_end));
}

void InputStream::Attach(UniqueFd socket) {
  if (!sink_.is_open()) return;
  AllocateBuffer();
  error_code ignored;
  if (socket_) socket_->close(ignored);
  socket_ = std::make_shared<stream_descriptor>(io_, socket.Release());
  Continue();
}

void InputStream::Continue() {
  if (reading_ || writing_ || !sink_.is_open()) return;
  if (!empty()) {
    Write();
  } else if (ended_) {
    CloseSink();
  } else if (socket_) {
    Read();
  }
}

void InputStream::Read() {
  reading_ = true;
  socket_->async_read_some(
      boost::asio::buffer(buffer_.get(), kBufferBytes),
      [self = shared_from_this(), socket = socket_](const error_code& failed, size_t size) {
        self->reading_ = false;
        self->begin_ = 0;
        self->end_ = size;
        if (failed && self->socket_ == socket) {
          self->ended_ = failed == boost::asio::error::eof && self->close_at_end_;
          self->socket_.reset();
        }
        self->Continue();
      });
}

void InputStream::Write() {
  writing_ = true;
  sink_.async_write_some(boost::asio::buffer(buffer_.get() + begin_, end_ - begin_),
                         [self = shared_from_this()](const error_code& failed, size_t size) {
                           self->writing_ = false;
                           self->begin_ += size;
                           // The process has closed its end, or has gone.
                           if (failed) return self->CloseSink();
                           self->Continue();
                         });
}

void InputStream::CloseSink() {
  error_code ignored;
  sink_.close(ignored);
  socket_.reset();
}

Result<std::unique_ptr<ProcessStdio>> ProcessStdio::Create(boost::asio::io_context& io,
                                                           const v1::Stdio& stdio, uid_t owner,
                                                           gid_t group) {
  std::unique_ptr<ProcessStdio> result(new ProcessStdio(io));
  if (stdio.terminal()) {
    result->terminal_ = true;
    return result;
  }
  if (stdio.stdin()) {
    HULL_ASSIGN(Pipe pipe, MakePipe(owner, group));
    result->child_.input = std::move(pipe.reader);
    result->input_ = InputStream::Create(io, std::move(pipe.writer), true);
  }
  if (stdio.stdout()) {
    HULL_ASSIGN(Pipe pipe, MakePipe(owner, group));
    result->child_.output = std::move(pipe.writer);
    result->output_ = OutputStream::Create(io, std::move(pipe.reader));
  }
  if (stdio.stderr()) {
    HULL_ASSIGN(Pipe pipe, MakePipe(owner, group));
    result->child_.error = std::move(pipe.writer);
    result->error_ = OutputStream::Create(io, std::move(pipe.reader));
  }
  return result;
}

Status ProcessStdio::SetTerminal(UniqueFd master) {
  UniqueFd input = Duplicate(master);
  UniqueFd output = Duplicate(master);
  if (!input.valid() || !output.valid()) return FailErrno("keep the terminal");
  master_ = std::move(master);
  input_ = InputStream::Create(io_, std::move(input), false);
  output_ = OutputStream::Create(io_, std::move(output));
  return {};
}

Status ProcessStdio::Resize(const v1::TerminalSize& size) {
  if (!master_.valid()) return Fail(ErrorCode::kUnavailable, "the process has no terminal");
  if (size.columns() > 0xffff || size.rows() > 0xffff) {
    return Fail(ErrorCode::kInvalidArgument, "a terminal of {} columns and {} rows", size.columns(),
                size.rows());
  }
  winsize window{};
  window.ws_col = static_cast<unsigned short>(size.columns());
  window.ws_row = static_cast<unsigned short>(size.rows());
  if (::ioctl(master_.get(), TIOCSWINSZ, &window) != 0) return FailErrno("resize the terminal");
  return {};
}

Status ProcessStdio::Check(v1::StreamOpen::Kind kind) const {
  switch (kind) {
    case v1::StreamOpen::TERMINAL:
      if (!terminal_) return Fail(ErrorCode::kNotFound, "the process has no terminal");
      if (!output_) return Fail(ErrorCode::kUnavailable, "the terminal is not there yet");
      return {};
    case v1::StreamOpen::STDIN:
      if (terminal_ || !input_)
        return Fail(ErrorCode::kNotFound, "the process has no stdin stream");
      return {};
    case v1::StreamOpen::STDOUT:
      if (terminal_ || !output_)
        return Fail(ErrorCode::kNotFound, "the process has no stdout stream");
      return {};
    case v1::StreamOpen::STDERR:
      if (terminal_ || !error_)
        return Fail(ErrorCode::kNotFound, "the process has no stderr stream");
      return {};
    default:
      return Fail(ErrorCode::kInvalidArgument, "kind: no such stream");
  }
}

void ProcessStdio::Attach(v1::StreamOpen::Kind kind, UniqueFd socket) {
  if (!Check(kind)) return;
  switch (kind) {
    case v1::StreamOpen::STDIN:
      return input_->Attach(std::move(socket));
    case v1::StreamOpen::STDERR:
      error_->Attach(std::move(socket));
      return error_->WatchReader();
    case v1::StreamOpen::TERMINAL:
      // Two descriptors of one connection: each direction closes its own.
      if (UniqueFd second = Duplicate(socket); second.valid()) input_->Attach(std::move(second));
      return output_->Attach(std::move(socket));
    default:
      output_->Attach(std::move(socket));
      return output_->WatchReader();
  }
}

}  // namespace hull::agent
