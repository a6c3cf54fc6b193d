#include "runtime/process_identity.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

namespace hull {
namespace {

constexpr uint64_t kMaxStatBytes = 4096;
// proc(5): fields of /proc/PID/stat, counted from the state, which follows the name's closing
// parenthesis.
constexpr int kStateField = 0;
constexpr int kStartTimeField = 19;

}  // namespace

Result<ProcessIdentity> IdentifyProcess(pid_t pid) {
  const auto gone = [pid] { return Fail(ErrorCode::kNotFound, "no process {}", pid); };
  Result<std::string> stat = ReadFile(fmt::format("/proc/{}/stat", pid), kMaxStatBytes);
  if (!stat) return gone();
  const size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos) return gone();
  std::string_view rest(*stat);
  rest.remove_prefix(name_end + 2);
  for (int field = kStateField; !rest.empty(); ++field) {
    const std::string_view value = rest.substr(0, rest.find(' '));
    if (field == kStateField && (value == "Z" || value == "X")) return gone();
    if (field == kStartTimeField) {
      ProcessIdentity identity{pid, 0};
      std::from_chars(value.data(), value.data() + value.size(), identity.start_time);
      return identity;
    }
    rest.remove_prefix(std::min(value.size() + 1, rest.size()));
  }
  return gone();
}

bool IsAlive(const ProcessIdentity& process) {
  const Result<ProcessIdentity> now = IdentifyProcess(process.pid);
  return now && *now == process;
}

Status KillAndWait(const ProcessIdentity& process, int timeout_ms) {
  const UniqueFd handle(static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0)));
  // The descriptor holds the process, so what is identified after it is what gets the signal.
  if (!handle.valid() || !IsAlive(process)) return {};
  if (syscall(SYS_pidfd_send_signal, handle.get(), SIGKILL, nullptr, 0) != 0 && errno != ESRCH) {
    return FailErrno("kill process {}", process.pid);
  }
  pollfd wait{handle.get(), POLLIN, 0};
  if (poll(&wait, 1, timeout_ms) == 0) {
    return Fail(ErrorCode::kTimedOut, "process {} does not end although it was killed",
                process.pid);
  }
  return {};
}

}  // namespace hull
