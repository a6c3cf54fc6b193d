#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

#include "support.h"

namespace lab {
namespace {

constexpr size_t kBufferBytes = 128 << 10;

void SetNonBlocking(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

// One stream of the command on its way to the host.
class OutStream {
 public:
  OutStream(int source, int sink, char tag, bool framed)
      : source_(source), sink_(sink), tag_(tag), framed_(framed), buffer_(kBufferBytes) {
    if (source_ >= 0) SetNonBlocking(source_);
  }

  uint64_t bytes() const { return bytes_; }
  bool Idle() const { return begin_ == end_; }

  void Watch(std::vector<pollfd>& entries) const {
    if (!Idle()) {
      entries.push_back({.fd = sink_, .events = POLLOUT, .revents = 0});
    } else if (source_ >= 0) {
      entries.push_back({.fd = source_, .events = POLLIN, .revents = 0});
    }
  }

  // Moves what can be moved without waiting. False when nothing moved.
  bool Step() {
    if (Idle() && !Fill()) return false;
    return Flush();
  }

  // Called after the command's end: takes what is in the pipe now, and does not wait for what
  // processes left behind might still write.
  void Drain() {
    for (;;) {
      while (!Idle()) {
        if (Flush()) continue;
        pollfd entry{.fd = sink_, .events = POLLOUT, .revents = 0};
        poll(&entry, 1, 1000);
      }
      if (!Fill()) return;
    }
  }

 private:
  bool Fill() {
    if (source_ < 0) return false;
    const ssize_t got = read(source_, buffer_.data(), buffer_.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0) {  // End of file; for a terminal, EIO says the same.
      close(source_);
      source_ = -1;
      return false;
    }
    begin_ = 0;
    end_ = static_cast<size_t>(got);
    return true;
  }

  bool Flush() {
    if (framed_) return FlushFrame();
    const ssize_t written = write(sink_, buffer_.data() + begin_, end_ - begin_);
    if (written <= 0) return false;
    begin_ += static_cast<size_t>(written);
    bytes_ += static_cast<uint64_t>(written);
    return true;
  }

  bool FlushFrame() {
    const uint32_t size = static_cast<uint32_t>(end_ - begin_);
    std::string frame(1, tag_);
    frame.append(reinterpret_cast<const char*>(&size), sizeof size);
    frame.append(buffer_.data() + begin_, size);
    WriteAll(sink_, frame);
    begin_ = end_;
    bytes_ += size;
    return true;
  }

  int source_;
  const int sink_;
  const char tag_;
  const bool framed_;
  std::vector<char> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  uint64_t bytes_ = 0;
};

// The command's standard input on its way from the host.
class InStream {
 public:
  InStream(int port, int sink, bool terminal)
      : port_(port), sink_(sink), terminal_(terminal), buffer_(kBufferBytes) {
    if (sink_ >= 0) SetNonBlocking(sink_);
  }

  void Watch(std::vector<pollfd>& entries) const {
    if (port_ < 0 || ended_) return;
    if (begin_ != end_) {
      entries.push_back({.fd = sink_, .events = POLLOUT, .revents = 0});
    } else {
      entries.push_back({.fd = port_, .events = POLLIN, .revents = 0});
    }
  }

  bool Step() {
    if (port_ < 0 || ended_) return false;
    if (begin_ == end_ && !Fill()) return false;
    return Flush();
  }

 private:
  bool Fill() {
    if (frame_left_ == 0) {
      const ssize_t got = read(port_, header_ + header_bytes_, sizeof header_ - header_bytes_);
      if (got <= 0) return false;
      header_bytes_ += static_cast<size_t>(got);
      if (header_bytes_ < sizeof header_) return false;
      header_bytes_ = 0;
      uint32_t size = 0;
      memcpy(&size, header_, sizeof size);
      frame_left_ = size;
      if (frame_left_ == 0) return End();
    }
    const ssize_t got = read(port_, buffer_.data(), std::min(buffer_.size(), frame_left_));
    if (got <= 0) return false;
    frame_left_ -= static_cast<size_t>(got);
    begin_ = 0;
    end_ = static_cast<size_t>(got);
    return true;
  }

  bool End() {
    ended_ = true;
    // A terminal has no other way to say end of file than its own character.
    if (terminal_) {
      WriteAll(sink_, "\x04");
    } else if (sink_ >= 0) {
      close(sink_);
    }
    sink_ = -1;
    return false;
  }

  bool Flush() {
    if (sink_ >= 0) {
      const ssize_t written = write(sink_, buffer_.data() + begin_, end_ - begin_);
      if (written > 0) {
        begin_ += static_cast<size_t>(written);
        return true;
      }
      if (written < 0 && (errno == EAGAIN || errno == EINTR)) return false;
      // The command closed its input. What still comes is read and dropped, so that the host is not
      // held up.
      if (!terminal_) close(sink_);
      sink_ = -1;
    }
    begin_ = end_;
    return true;
  }

  const int port_;
  int sink_;
  const bool terminal_;
  bool ended_ = false;
  char header_[4] = {};
  size_t header_bytes_ = 0;
  size_t frame_left_ = 0;
  std::vector<char> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

// The descriptors of a started command, seen from init.
struct Command {
  pid_t process = -1;
  int terminal = -1;
  int input = -1;
  int output = -1;
  int error = -1;
};

[[noreturn]] void Exec(const Order& order) {
  std::vector<char*> arguments;
  for (const std::string& argument : order.arguments)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  signal(SIGPIPE, SIG_DFL);
  clearenv();
  for (const std::string& variable : order.environment) putenv(const_cast<char*>(variable.c_str()));
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (chdir(order.directory.c_str()) != 0) {
    fprintf(stderr, "lab: cannot enter %s: %s\n", order.directory.c_str(), strerror(errno));
    _exit(126);
  }
  execvp(arguments[0], arguments.data());
  const int error = errno;
  fprintf(stderr, "lab: cannot run %s: %s\n", arguments[0], strerror(error));
  _exit(error == ENOENT ? 127 : 126);
}

Command StartOnTerminal(const Order& order) {
  Command command;
  winsize size{};
  size.ws_row = static_cast<unsigned short>(order.rows);
  size.ws_col = static_cast<unsigned short>(order.columns);
  command.process = forkpty(&command.terminal, nullptr, nullptr, &size);
  if (command.process < 0) Die("cannot make a terminal");
  if (command.process == 0) Exec(order);
  command.input = command.terminal;
  command.output = command.terminal;
  return command;
}

Command StartOnPipes(const Order& order, bool with_input) {
  int input[2] = {-1, -1};
  int output[2];
  int error[2];
  if (pipe2(output, O_CLOEXEC) != 0 || pipe2(error, O_CLOEXEC) != 0) Die("cannot make pipes");
  if (with_input && pipe2(input, O_CLOEXEC) != 0) Die("cannot make pipes");
  Command command;
  command.process = fork();
  if (command.process < 0) Die("cannot fork");
  if (command.process == 0) {
    setsid();
    if (!with_input) input[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(input[0], STDIN_FILENO);
    dup2(output[1], STDOUT_FILENO);
    dup2(error[1], STDERR_FILENO);
    Exec(order);
  }
  if (with_input) close(input[0]);
  close(output[1]);
  close(error[1]);
  command.input = input[1];
  command.output = output[0];
  command.error = error[0];
  return command;
}

// Carries out the host's control lines.
class Control {
 public:
  Control(int port, const Command& command) : port_(port), command_(command) {}

  void Step() {
    char data[256];
    for (ssize_t got; (got = read(port_, data, sizeof data)) > 0;) {
      pending_.append(data, static_cast<size_t>(got));
    }
    for (size_t end; (end = pending_.find('\n')) != std::string::npos; pending_.erase(0, end + 1)) {
      Obey(pending_.substr(0, end));
    }
  }

 private:
  void Obey(const std::string& line) {
    int number = 0;
    winsize size{};
    if (sscanf(line.c_str(), "signal %d", &number) == 1) {
      // The process group, as a terminal would; its id is the command's, which leads its session.
      kill(-command_.process, number);
    } else if (sscanf(line.c_str(), "size %hu %hu", &size.ws_row, &size.ws_col) == 2 &&
               command_.terminal >= 0) {
      ioctl(command_.terminal, TIOCSWINSZ, &size);
    }
  }

  const int port_;
  const Command command_;
  std::string pending_;
};

// Reaps everything that has ended, as PID 1 must. True when `process` was among it, with its
// status.
bool Reap(pid_t process, int* status) {
  bool found = false;
  int one = 0;
  for (pid_t ended; (ended = waitpid(-1, &one, WNOHANG)) > 0;) {
    if (ended == process) {
      *status = one;
      found = true;
    }
  }
  return found;
}

}  // namespace

void RunCommand(const Order& order, const Channels& channels) {
  sigset_t child_signal;
  sigemptyset(&child_signal);
  sigaddset(&child_signal, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child_signal, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const int children = signalfd(-1, &child_signal, SFD_CLOEXEC | SFD_NONBLOCK);

  SendControl(channels, "started");
  const Command command =
      order.terminal ? StartOnTerminal(order) : StartOnPipes(order, channels.input >= 0);
  OutStream output(command.output, channels.output, 'O', channels.framed);
  OutStream error(command.error, channels.error, 'E', channels.framed);
  InStream input(channels.input, command.input, order.terminal);
  Control control(channels.control, command);

  int status = 0;
  for (bool running = true; running;) {
    std::vector<pollfd> entries{{.fd = children, .events = POLLIN, .revents = 0}};
    if (!channels.framed)
      entries.push_back({.fd = channels.control, .events = POLLIN, .revents = 0});
    output.Watch(entries);
    error.Watch(entries);
    input.Watch(entries);
    poll(entries.data(), entries.size(), -1);
    signalfd_siginfo information;
    while (read(children, &information, sizeof information) > 0) {
    }
    running = !Reap(command.process, &status);
    if (!channels.framed) control.Step();
    output.Step();
    error.Step();
    input.Step();
  }
  output.Drain();
  error.Drain();
  sync();
  const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  SendControl(channels, "exit " + std::to_string(code) + " " + std::to_string(output.bytes()) +
                            " " + std::to_string(error.bytes()));
}

}  // namespace lab
