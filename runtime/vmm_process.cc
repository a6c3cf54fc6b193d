#include "runtime/vmm_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include <boost/asio/posix/stream_descriptor.hpp>

#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

namespace hull {
namespace {

constexpr int kStatusFd = 3;
// An ended line has 64 KiB of console, which JSON may stretch sixfold.
constexpr size_t kMaxStatusBytes = 512 * 1024;
constexpr uint64_t kMaxLogBytes = 64 * 1024;

struct SpawnPlan {
  const char* program;
  const char* const* arguments;
  int run_fd;
  int status_fd;
  int null_fd;
  int log_fd;
  int error_fd;
  pid_t parent;
};

// Between vfork and exec: only system calls, and nothing of the parent's memory changed but
// `error`.
[[noreturn]] void ExecChild(const SpawnPlan& plan, volatile int* error) {
  const auto give_up = [error] {
    *error = errno;
    _exit(127);
  };
  sigset_t none;
  sigemptyset(&none);
  signal(SIGPIPE, SIG_DFL);
  // A terminal's Ctrl-C is for hull to pass on, not for the virtual machine to die of.
  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != plan.parent) _exit(127);
  if (fchdir(plan.run_fd) != 0) give_up();
  if (dup2(plan.null_fd, 0) < 0 || dup2(plan.log_fd, 1) < 0 || dup2(plan.error_fd, 2) < 0)
    give_up();
  if (dup2(plan.status_fd, kStatusFd) < 0) give_up();
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // SAFETY: execv does not write to the strings.
  execv(plan.program, const_cast<char* const*>(plan.arguments));
  give_up();
  _exit(127);
}

// posix_spawn cannot set the parent-death signal; fork would copy page tables for nothing.
Result<pid_t> Spawn(const SpawnPlan& plan) {
  volatile int error = 0;
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  // No handler may run in the child while it shares the parent's memory.
  sigprocmask(SIG_SETMASK, &all, &before);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  const pid_t child = vfork();
#pragma GCC diagnostic pop
  if (child == 0) ExecChild(plan, &error);
  const int fork_error = errno;
  sigprocmask(SIG_SETMASK, &before, nullptr);
  if (child < 0) return Fail(Error::FromErrno(fork_error, "start a process"));
  if (error != 0) {
    waitpid(child, nullptr, 0);
    return Fail(Error::FromErrno(error, fmt::format("run {}", plan.program))
                    .WithHint("hull-vmm belongs beside hull; HULL_VMM names another place"));
  }
  return child;
}

// A descriptor that is free for dup2 onto 0 to 3 in the child.
Result<UniqueFd> Above(UniqueFd fd) {
  if (fd.get() > kStatusFd) return fd;
  UniqueFd moved(fcntl(fd.get(), F_DUPFD_CLOEXEC, kStatusFd + 1));
  if (!moved.valid()) return FailErrno("duplicate a descriptor");
  return moved;
}

api::Outcome OutcomeOfStatus(int status, std::string_view log) {
  api::Outcome outcome;
  outcome.cause = api::Cause::kError;
  if (WIFSIGNALED(status)) {
    const char* name = sigabbrev_np(WTERMSIG(status));
    outcome.message = fmt::format("hull-vmm was ended by SIG{}", name == nullptr ? "?" : name);
  } else {
    outcome.message =
        fmt::format("hull-vmm ended with exit code {} and said no reason", WEXITSTATUS(status));
  }
  if (!log.empty()) outcome.message += fmt::format("; its last words: {}", log);
  return outcome;
}

}  // namespace

class VmmProcess::Impl : public std::enable_shared_from_this<VmmProcess::Impl> {
 public:
  Impl(boost::asio::io_context& io, pid_t pid, UniqueFd status_fd, std::string log_path)
      : pid_(pid), status_(io, status_fd.Release()), log_path_(std::move(log_path)) {}

  void Read() {
    status_.async_read_some(
        boost::asio::buffer(chunk_),
        [self = shared_from_this()](boost::system::error_code error, size_t size) {
          self->Received(error, size);
        });
  }

  void Received(boost::system::error_code error, size_t size) {
    if (closed_) return;
    if (error) {
      Reap();
      if (on_ended_) std::exchange(on_ended_, {})();
      return;
    }
    buffer_.append(chunk_.data(), size);
    for (size_t end = buffer_.find('\n'); end != std::string::npos; end = buffer_.find('\n')) {
      Line(std::string_view(buffer_).substr(0, end));
      buffer_.erase(0, end + 1);
    }
    if (buffer_.size() > kMaxStatusBytes) buffer_.clear();
    Read();
  }

  void Line(std::string_view line) {
    Result<api::StatusEvent> parsed = api::ParseStatusLine(line);
    if (!parsed) return;  // A newer hull-vmm may say more.
    if (std::holds_alternative<api::Started>(*parsed)) {
      if (on_started_) on_started_();
    } else if (const auto* const progress = std::get_if<api::PinningProgress>(&*parsed)) {
      if (on_pinning_) on_pinning_(*progress);
    } else if (auto* const outcome = std::get_if<api::Outcome>(&*parsed)) {
      said_ = std::move(*outcome);
    }
  }

  // Waits for the child, which has closed its status descriptor or was killed.
  void Reap() {
    if (outcome_) return;
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    if (said_) {
      outcome_ = std::move(said_);
    } else if (killed_) {
      outcome_ = api::Outcome{api::Cause::kKilled, "killed by hull", {}};
    } else {
      Result<std::string> log = ReadFile(log_path_, kMaxLogBytes);
      std::string_view words = log ? std::string_view(*log) : std::string_view();
      while (words.ends_with('\n')) words.remove_suffix(1);
      outcome_ = OutcomeOfStatus(status, words);
    }
  }

  void KillNow() {
    if (outcome_) return;
    killed_ = true;
    kill(pid_, SIGKILL);
    Reap();
  }

  void Close() {
    closed_ = true;
    KillNow();
    boost::system::error_code ignored;
    status_.close(ignored);
  }

  pid_t pid_;
  boost::asio::posix::stream_descriptor status_;
  std::string log_path_;
  std::array<char, 4096> chunk_{};
  std::string buffer_;
  bool closed_ = false;
  bool killed_ = false;
  std::optional<api::Outcome> said_;
  std::optional<api::Outcome> outcome_;
  std::function<void(const api::PinningProgress&)> on_pinning_;
  std::function<void()> on_started_;
  std::function<void()> on_ended_;
};

Result<std::unique_ptr<VmmProcess>> VmmProcess::Start(boost::asio::io_context& io,
                                                      const VmmOptions& options) {
  std::array<int, 2> pipe_fds{};
  if (pipe2(pipe_fds.data(), O_CLOEXEC) != 0) return FailErrno("make a pipe");
  UniqueFd read_end(pipe_fds[0]);
  HULL_ASSIGN(const UniqueFd write_end, Above(UniqueFd(pipe_fds[1])));
  HULL_ASSIGN(UniqueFd null_file, OpenFile("/dev/null", O_RDONLY));
  HULL_ASSIGN(const UniqueFd null_fd, Above(std::move(null_file)));
  const std::string log_path = fmt::format("/proc/self/fd/{}/{}", options.run_fd, options.log_file);
  HULL_ASSIGN(UniqueFd log_file, OpenFile(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600));
  HULL_ASSIGN(const UniqueFd log_fd, Above(std::move(log_file)));
  const std::string status_text = fmt::format("{}", kStatusFd);
  const std::array<const char*, 6> arguments = {
      "hull-vmm",    "--config",          options.config_file.c_str(),
      "--status-fd", status_text.c_str(), nullptr};
  const SpawnPlan plan{options.program.c_str(),
                       arguments.data(),
                       options.run_fd,
                       write_end.get(),
                       null_fd.get(),
                       log_fd.get(),
                       options.inherit_stderr ? 2 : log_fd.get(),
                       getpid()};
  HULL_ASSIGN(const pid_t child, Spawn(plan));
  auto impl = std::make_shared<Impl>(io, child, std::move(read_end), log_path);
  impl->Read();
  return std::unique_ptr<VmmProcess>(new VmmProcess(std::move(impl)));
}

VmmProcess::~VmmProcess() {
  impl_->Close();
}

pid_t VmmProcess::pid() const {
  return impl_->pid_;
}
void VmmProcess::OnPinning(std::function<void(const api::PinningProgress&)> handler) {
  impl_->on_pinning_ = std::move(handler);
}
void VmmProcess::OnStarted(std::function<void()> handler) {
  impl_->on_started_ = std::move(handler);
}
void VmmProcess::OnEnded(std::function<void()> handler) {
  impl_->on_ended_ = std::move(handler);
}
const std::optional<api::Outcome>& VmmProcess::outcome() const {
  return impl_->outcome_;
}
void VmmProcess::KillNow() {
  impl_->KillNow();
}

}  // namespace hull
