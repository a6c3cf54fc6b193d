#include "runtime/cli/signal_source.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace hull::cli {
namespace {

// Not the container's: those of hull's own children and pipes, of its own faults and timers, and of
// its own place in a terminal's foreground.
constexpr int kOwn[] = {SIGKILL, SIGSTOP, SIGCHLD, SIGPIPE, SIGURG,  SIGSEGV,   SIGBUS,  SIGFPE,
                        SIGILL,  SIGTRAP, SIGABRT, SIGSYS,  SIGPROF, SIGVTALRM, SIGTTIN, SIGTTOU};

}  // namespace

Status SignalSource::Start(std::function<void(int)> handler) {
  handler_ = std::move(handler);
  sigset_t set;
  // The first two real-time signals are the C library's; they cannot be had.
  sigfillset(&set);
  for (const int number : kOwn) sigdelset(&set, number);
  if (sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return FailErrno("block signals");
  const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return FailErrno("take over signals");
  descriptor_.assign(fd);
  Await();
  return {};
}

void SignalSource::Await() {
  descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [this](boost::system::error_code error) {
                           if (error) return;
                           signalfd_siginfo info{};
                           while (read(descriptor_.native_handle(), &info, sizeof info) ==
                                  static_cast<ssize_t>(sizeof info)) {
                             if (handler_) handler_(static_cast<int>(info.ssi_signo));
                           }
                           Await();
                         });
}

}  // namespace hull::cli
