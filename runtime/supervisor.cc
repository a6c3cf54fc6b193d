#include "runtime/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "runtime/supervisor_life.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace hull {
namespace {

// At most 15 characters: what ps and /proc/PID/comm show.
constexpr char kProcessName[] = "hull-supervise";

// Everything but 0 to 2 and `kept` is the caller's.
void CloseOthers(std::vector<int> kept) {
  std::sort(kept.begin(), kept.end());
  unsigned int first = STDERR_FILENO + 1;
  for (const int fd : kept) {
    if (fd <= STDERR_FILENO) continue;
    const auto number = static_cast<unsigned int>(fd);
    if (number > first) close_range(first, number - 1, 0);
    first = number + 1;
  }
  close_range(first, ~0U, 0);
}

// Standard streams that lead nowhere, so that nobody waits for their end.
void LeaveTerminal(bool keep_stderr) {
  const Result<UniqueFd> null = OpenFile("/dev/null", O_RDWR);
  if (!null) return;
  dup2(null->get(), STDIN_FILENO);
  dup2(null->get(), STDOUT_FILENO);
  if (!keep_stderr) dup2(null->get(), STDERR_FILENO);
}

void ResetSignals() {
  for (int number = 1; number < NSIG; ++number) {
    if (number != SIGPIPE) signal(number, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void BeSupervisor(const Containers& containers, const std::string& id,
                               RunDirectory run, UniqueFd client, const PhaseLog& phases) {
  setsid();
  prctl(PR_SET_NAME, kProcessName);
  ResetSignals();
  CloseOthers({run.fd.get(), client.get(), phases.notes_fd()});
  LeaveTerminal(phases.enabled());
  // A mounted file system that the caller stood in can be unmounted.
  if (chdir("/") != 0) log::Debug("cannot leave the working directory");
  // Never destroyed: its clients take the end of their connections for the end of this process.
  auto* life = new SupervisorLife(containers, id, std::move(run), std::move(client), phases);
  _exit(life->Run());
}

}  // namespace

Status StartSupervisor(const Containers& containers, const std::string& id, RunDirectory run,
                       UniqueFd client, const PhaseLog& phases) {
  const pid_t child = fork();
  if (child < 0) return FailErrno("start the container's supervisor");
  if (child == 0) BeSupervisor(containers, id, std::move(run), std::move(client), phases);
  return {};
}

}  // namespace hull
