#include "guest-agent/reaper.h"

#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <utility>

#include <boost/asio/post.hpp>

#include "guest-agent/kernel_log.h"

namespace hull::agent {
namespace {

// Enough for a burst of orphans during one crun; beyond it the oldest numbers are of no interest.
constexpr size_t kMaxKept = 4096;

int64_t RealTimeNs() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

ExitStatus ExitStatus::FromWait(int wait_status, int64_t at_ns) {
  if (WIFSIGNALED(wait_status)) {
    const int signal = WTERMSIG(wait_status);
    return {.code = 128 + signal, .signal = signal, .at_ns = at_ns};
  }
  return {.code = WEXITSTATUS(wait_status), .signal = 0, .at_ns = at_ns};
}

std::optional<ExitTable::Handler> ExitTable::Record(pid_t pid, ExitStatus status) {
  const auto watched = watched_.find(pid);
  if (watched != watched_.end()) {
    Handler handler = std::move(watched->second);
    watched_.erase(watched);
    return handler;
  }
  if (holds_ > 0 && kept_.size() < kMaxKept) kept_.insert_or_assign(pid, status);
  return std::nullopt;
}

std::optional<ExitStatus> ExitTable::Watch(pid_t pid, Handler handler) {
  const auto kept = kept_.find(pid);
  if (kept != kept_.end()) {
    const ExitStatus status = kept->second;
    kept_.erase(kept);
    return status;
  }
  watched_.insert_or_assign(pid, std::move(handler));
  return std::nullopt;
}

void ExitTable::EndHold() {
  if (--holds_ == 0) kept_.clear();
}

Status Reaper::Start(bool subreaper) {
  if (subreaper && ::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return FailErrno("become a subreaper");
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  if (::sigprocmask(SIG_BLOCK, &mask, nullptr) != 0) return FailErrno("block SIGCHLD");
  const int fd = ::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return FailErrno("make a signalfd");
  boost::system::error_code failed;
  signals_.assign(fd, failed);
  if (failed) {
    ::close(fd);
    return Fail(Error::FromErrno(failed.value(), "watch the signalfd"));
  }
  Listen();
  return {};
}

void Reaper::Watch(pid_t pid, ExitTable::Handler handler) {
  // The handler is stored or, when the exit is already known, posted: hence the copy.
  if (const auto status = table_.Watch(pid, handler)) {
    boost::asio::post(io_, [handler = std::move(handler), status = *status] { handler(status); });
  }
}

void Reaper::Listen() {
  signals_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [this](const boost::system::error_code& failed) {
                        if (failed) return;
                        signalfd_siginfo info[8];
                        // One SIGCHLD may stand for many children: the content tells nothing.
                        while (::read(signals_.native_handle(), info, sizeof(info)) > 0) {
                        }
                        ReapAll();
                        Listen();
                      });
}

void Reaper::ReapAll() {
  int wait_status = 0;
  pid_t pid = 0;
  while ((pid = ::waitpid(-1, &wait_status, WNOHANG)) > 0) {
    const ExitStatus status = ExitStatus::FromWait(wait_status, RealTimeNs());
    if (const auto handler = table_.Record(pid, status)) (*handler)(status);
  }
}

}  // namespace hull::agent
