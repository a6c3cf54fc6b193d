#include "guest-agent/stdio.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <utility>

#include "vmm/base/file.h"

namespace hull::agent {
namespace {

using std::chrono::milliseconds;

std::pair<UniqueFd, UniqueFd> SocketPair() {
  int fds[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

void SetNonBlocking(const UniqueFd& fd) {
  ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
}

std::string Pattern(size_t size) {
  std::string text(size, '\0');
  uint32_t state = 1;
  for (char& c : text) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

class StdioTest : public testing::Test {
 protected:
  StdioTest() { ::signal(SIGPIPE, SIG_IGN); }

  void Make(bool in, bool out, bool err) {
    v1::Stdio stdio;
    stdio.set_stdin(in);
    stdio.set_stdout(out);
    stdio.set_stderr(err);
    stdio_ = ProcessStdio::Create(io_, stdio, ::getuid(), ::getgid()).value();
    child_ = stdio_->TakeChildStreams();
  }
  void MakeTerminal() {
    v1::Stdio stdio;
    stdio.set_terminal(true);
    stdio_ = ProcessStdio::Create(io_, stdio, 0, 0).value();
    UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    ASSERT_TRUE(master.valid());
    ::grantpt(master.get());
    ::unlockpt(master.get());
    slave_.Reset(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    ASSERT_TRUE(slave_.valid());
    termios raw{};
    ::tcgetattr(slave_.get(), &raw);
    ::cfmakeraw(&raw);
    ::tcsetattr(slave_.get(), TCSANOW, &raw);
    ASSERT_TRUE(stdio_->SetTerminal(std::move(master)).has_value());
  }
  UniqueFd Attach(v1::StreamOpen::Kind kind) {
    auto [near, far] = SocketPair();
    stdio_->Attach(kind, std::move(far));
    SetNonBlocking(near);
    return std::move(near);
  }
  void Run(int ms = 20) {
    io_.restart();
    io_.run_for(milliseconds(ms));
  }
  // Reads until end of file; what has come after 5 s otherwise.
  std::string ReadToEnd(const UniqueFd& fd) {
    std::string text;
    char bytes[32768];
    for (int i = 0; i < 5000; ++i) {
      ssize_t size = 0;
      while ((size = ::read(fd.get(), bytes, sizeof(bytes))) > 0) {
        text.append(bytes, static_cast<size_t>(size));
      }
      if (size == 0) return text;
      Run(1);
    }
    return text + "<no end>";
  }
  std::string ReadNow(const UniqueFd& fd) {
    char bytes[4096];
    const ssize_t size = ::read(fd.get(), bytes, sizeof(bytes));
    if (size == 0) return "<end>";
    return size < 0 ? "" : std::string(bytes, static_cast<size_t>(size));
  }

  // The host sends its byte; the process finds its output closed.
  void ExpectByteClosesPipe(const UniqueFd& reader) {
    ASSERT_TRUE(WriteAll(reader.get(), "x").has_value());
    Run();
    const Status written = WriteAll(child_.output.get(), "after");
    ASSERT_FALSE(written.has_value());
    EXPECT_EQ(written.error().error_number(), EPIPE);
  }

  boost::asio::io_context io_{1};
  std::unique_ptr<ProcessStdio> stdio_;
  ChildStreams child_;
  UniqueFd slave_;
};

TEST_F(StdioTest, OutputWrittenBeforeTheEndReachesAReaderThatComesLate) {
  Make(false, true, false);
  const std::string text = Pattern(60000);
  ASSERT_TRUE(WriteAll(child_.output.get(), text).has_value());
  child_.output.Reset();  // the process has ended
  Run();
  const UniqueFd reader = Attach(v1::StreamOpen::STDOUT);
  EXPECT_EQ(ReadToEnd(reader), text);
}

TEST_F(StdioTest, OutputBeingDeliveredSurvivesTheProcessRecord) {
  Make(false, true, false);
  const std::string text = Pattern(60000);
  ASSERT_TRUE(WriteAll(child_.output.get(), text).has_value());
  child_.output.Reset();
  const UniqueFd reader = Attach(v1::StreamOpen::STDOUT);
  stdio_.reset();
  EXPECT_EQ(ReadToEnd(reader), text);
}

TEST_F(StdioTest, SlowReaderHoldsTheWriterUp) {
  Make(false, true, false);
  const UniqueFd reader = Attach(v1::StreamOpen::STDOUT);
  SetNonBlocking(child_.output);
  const std::string chunk = Pattern(4096);
  size_t written = 0;
  for (int i = 0; i < 2000; ++i) {
    const ssize_t size = ::write(child_.output.get(), chunk.data(), chunk.size());
    if (size > 0) {
      written += static_cast<size_t>(size);
    } else {
      Run(1);
      if (i > 1000) break;
    }
  }
  // The pipe, one buffer, and the socket's own queue.
  EXPECT_LT(written, size_t{1} << 20);
  child_.output.Reset();
  EXPECT_EQ(ReadToEnd(reader).size(), written);
}

TEST_F(StdioTest, StdoutAndStderrAreApart) {
  Make(false, true, true);
  const UniqueFd out = Attach(v1::StreamOpen::STDOUT);
  const UniqueFd err = Attach(v1::StreamOpen::STDERR);
  ASSERT_TRUE(WriteAll(child_.output.get(), "out").has_value());
  ASSERT_TRUE(WriteAll(child_.error.get(), "err").has_value());
  child_ = {};
  EXPECT_EQ(ReadToEnd(out), "out");
  EXPECT_EQ(ReadToEnd(err), "err");
}

TEST_F(StdioTest, BrokenReaderIsReplacedByTheNextAndTheProcessIsNotTold) {
  Make(false, true, false);
  UniqueFd first = Attach(v1::StreamOpen::STDOUT);
  ASSERT_TRUE(WriteAll(child_.output.get(), "one").has_value());
  Run();
  EXPECT_EQ(ReadNow(first), "one");
  first.Reset();
  ASSERT_TRUE(WriteAll(child_.output.get(), "two").has_value());
  Run();
  const UniqueFd second = Attach(v1::StreamOpen::STDOUT);
  ASSERT_TRUE(WriteAll(child_.output.get(), "three").has_value());
  child_.output.Reset();
  EXPECT_EQ(ReadToEnd(second), "twothree");
}

TEST_F(StdioTest, ByteFromTheHostClosesThePipeAndTheProcessSeesIt) {
  Make(false, true, false);
  const UniqueFd reader = Attach(v1::StreamOpen::STDOUT);
  ASSERT_TRUE(WriteAll(child_.output.get(), "before").has_value());
  Run();
  EXPECT_EQ(ReadNow(reader), "before");
  ExpectByteClosesPipe(reader);
}

TEST_F(StdioTest, PipeClosedByTheHostWhileItsReaderIsSlowIsClosedToo) {
  Make(false, true, false);
  const UniqueFd reader = Attach(v1::StreamOpen::STDOUT);
  SetNonBlocking(child_.output);
  const std::string text = Pattern(60000);
  while (WriteAll(child_.output.get(), text).has_value()) Run();
  ExpectByteClosesPipe(reader);
}

// A host that closes its socket behind the byte: the guest's kernel may tell of the end first.
TEST_F(StdioTest, ByteBehindTheEndOfTheHostsReadingClosesThePipeToo) {
  Make(false, true, false);
  const UniqueFd reader = Attach(v1::StreamOpen::STDOUT);
  ASSERT_EQ(::shutdown(reader.get(), SHUT_RD), 0);
  ASSERT_TRUE(WriteAll(child_.output.get(), "nobody takes this").has_value());
  Run();
  ExpectByteClosesPipe(reader);
}

TEST_F(StdioTest, ByteOfAReaderThatWasReplacedClosesNothing) {
  Make(false, true, false);
  const UniqueFd first = Attach(v1::StreamOpen::STDOUT);
  ASSERT_EQ(::shutdown(first.get(), SHUT_RD), 0);
  ASSERT_TRUE(WriteAll(child_.output.get(), "one").has_value());
  Run();
  const UniqueFd second = Attach(v1::StreamOpen::STDOUT);
  [[maybe_unused]] const ssize_t ignored = ::send(first.get(), "x", 1, MSG_NOSIGNAL);
  Run();
  ASSERT_TRUE(WriteAll(child_.output.get(), "two").has_value());
  child_.output.Reset();
  EXPECT_EQ(ReadToEnd(second), "onetwo");
}

TEST_F(StdioTest, NewConnectionTakesOverFromOneThatDoesNotRead) {
  Make(false, true, false);
  const std::string text = Pattern(60000);
  const int small = 4096;
  auto [near, far] = SocketPair();
  ::setsockopt(far.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
  stdio_->Attach(v1::StreamOpen::STDOUT, std::move(far));
  ASSERT_TRUE(WriteAll(child_.output.get(), text).has_value());
  child_.output.Reset();
  Run();
  SetNonBlocking(near);
  const UniqueFd second = Attach(v1::StreamOpen::STDOUT);
  const std::string rest = ReadToEnd(second);
  const std::string taken = ReadToEnd(near);
  EXPECT_GT(taken.size(), 0u);
  EXPECT_EQ(taken + rest, text) << "each byte goes to one of the two";
}

TEST_F(StdioTest, EndOfFileOnStdinReachesTheProcessAfterTheBytes) {
  Make(true, false, false);
  const UniqueFd writer = Attach(v1::StreamOpen::STDIN);
  ASSERT_TRUE(WriteAll(writer.get(), "input").has_value());
  ::shutdown(writer.get(), SHUT_WR);
  Run();
  SetNonBlocking(child_.input);
  EXPECT_EQ(ReadNow(child_.input), "input");
  EXPECT_EQ(ReadNow(child_.input), "<end>");
}

TEST_F(StdioTest, ProcessThatDoesNotReadHoldsTheHostUp) {
  Make(true, false, false);
  const UniqueFd writer = Attach(v1::StreamOpen::STDIN);
  const std::string chunk = Pattern(4096);
  size_t written = 0;
  for (int i = 0; i < 2000; ++i) {
    const ssize_t size = ::write(writer.get(), chunk.data(), chunk.size());
    if (size > 0) {
      written += static_cast<size_t>(size);
    } else {
      Run(1);
      if (i > 1000) break;
    }
  }
  EXPECT_LT(written, size_t{1} << 20);
  ::shutdown(writer.get(), SHUT_WR);
  SetNonBlocking(child_.input);
  EXPECT_EQ(ReadToEnd(child_.input).size(), written);
}

TEST_F(StdioTest, ProcessThatClosesStdinEndsTheConnection) {
  Make(true, false, false);
  const UniqueFd writer = Attach(v1::StreamOpen::STDIN);
  child_.input.Reset();
  ASSERT_TRUE(WriteAll(writer.get(), "x").has_value());
  Run();
  EXPECT_EQ(ReadNow(writer), "<end>");
  const UniqueFd second = Attach(v1::StreamOpen::STDIN);
  EXPECT_EQ(ReadNow(second), "<end>");
}

TEST_F(StdioTest, TerminalCarriesBothDirectionsAndItsLastOutput) {
  MakeTerminal();
  const UniqueFd host = Attach(v1::StreamOpen::TERMINAL);
  ASSERT_TRUE(WriteAll(host.get(), "typed").has_value());
  Run();
  EXPECT_EQ(ReadNow(slave_), "typed");
  const std::string text(3000, 'z');
  ASSERT_TRUE(WriteAll(slave_.get(), text).has_value());
  slave_.Reset();
  EXPECT_EQ(ReadToEnd(host), text);
}

TEST_F(StdioTest, TerminalSurvivesItsHostAndTakesTheNext) {
  MakeTerminal();
  UniqueFd first = Attach(v1::StreamOpen::TERMINAL);
  Run();
  first.Reset();
  Run();
  const UniqueFd second = Attach(v1::StreamOpen::TERMINAL);
  ASSERT_TRUE(WriteAll(second.get(), "again").has_value());
  Run();
  EXPECT_EQ(ReadNow(slave_), "again");
  ASSERT_TRUE(WriteAll(slave_.get(), "seen").has_value());
  Run();
  EXPECT_EQ(ReadNow(second), "seen");
}

TEST_F(StdioTest, ResizeReachesTheTerminal) {
  MakeTerminal();
  v1::TerminalSize size;
  size.set_columns(132);
  size.set_rows(43);
  ASSERT_TRUE(stdio_->Resize(size).has_value());
  winsize window{};
  ::ioctl(slave_.get(), TIOCGWINSZ, &window);
  EXPECT_EQ(window.ws_col, 132);
  EXPECT_EQ(window.ws_row, 43);
  size.set_rows(70000);
  EXPECT_EQ(stdio_->Resize(size).error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(StdioTest, StreamsThatWereNotAskedForDoNotExist) {
  Make(false, true, false);
  EXPECT_TRUE(stdio_->Check(v1::StreamOpen::STDOUT).has_value());
  EXPECT_EQ(stdio_->Check(v1::StreamOpen::STDIN).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(stdio_->Check(v1::StreamOpen::TERMINAL).error().code(), ErrorCode::kNotFound);
  EXPECT_FALSE(child_.input.valid());
  v1::TerminalSize size;
  EXPECT_EQ(stdio_->Resize(size).error().code(), ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace hull::agent
