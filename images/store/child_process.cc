#include "images/store/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "vmm/base/check.h"
#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

extern char** environ;

namespace hull::images {
namespace {

constexpr int kFirstExtraFd = 3;
constexpr size_t kExtraFds = 3;
// Sources are moved up here before they are put on 0 to 4, so that none overwrites another.
constexpr int kFirstFreeFd = 10;
constexpr int kTickMs = 100;
constexpr size_t kErrorBytes = size_t{64} << 10;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> MakePipe() {
  std::array<int, 2> fds;
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) return FailErrno("make a pipe");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

struct ChildFds {
  int input;
  int output;
  int errors;
  std::array<int, kExtraFds> extra;
  int report;  // errno goes here when the program cannot be started
};

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// In the child. Only async-signal-safe calls: other threads may have held locks when it was forked.
[[noreturn]] void Become(const ChildFds& fds, char* const* arguments, char* const* environment,
                         pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  std::array<std::pair<int, int>, 3 + kExtraFds> places = {
      {{fds.input, 0}, {fds.output, 1}, {fds.errors, 2}}};
  for (size_t i = 0; i < kExtraFds; ++i)
    places[3 + i] = {fds.extra[i], kFirstExtraFd + static_cast<int>(i)};
  const int report = ::fcntl(fds.report, F_DUPFD_CLOEXEC, kFirstFreeFd);
  std::array<int, 3 + kExtraFds> moved;
  moved.fill(-1);
  bool placed = report >= 0;
  for (size_t i = 0; placed && i < places.size(); ++i) {
    if (places[i].first < 0) continue;
    moved[i] = ::fcntl(places[i].first, F_DUPFD_CLOEXEC, kFirstFreeFd);
    placed = moved[i] >= 0;
  }
  for (size_t i = 0; placed && i < places.size(); ++i) {
    if (moved[i] >= 0) placed = ::dup2(moved[i], places[i].second) >= 0;
  }
  if (placed) {
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL);
    ::execvpe(arguments[0], arguments, environment);
  }
  const int error_number = errno;
  static_cast<void>(::write(report, &error_number, sizeof(error_number)) < 0);
  ::_exit(127);
}

Result<pid_t> Spawn(const Command& command, const ChildFds& fds, UniqueFd report_read,
                    UniqueFd report_write) {
  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable)
    environment.emplace_back(*variable);
  for (const std::string& variable : command.environment) {
    const std::string name = variable.substr(0, variable.find('=') + 1);
    std::erase_if(environment, [&](const std::string& have) { return have.starts_with(name); });
    environment.push_back(variable);
  }
  const std::vector<char*> argument_pointers = Pointers(arguments);
  const std::vector<char*> environment_pointers = Pointers(environment);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return FailErrno("start {}", arguments[0]);
  if (pid == 0) Become(fds, argument_pointers.data(), environment_pointers.data(), parent);
  report_write.Reset();
  int error_number = 0;
  ssize_t count = 0;
  do {
    count = ::read(report_read.get(), &error_number, sizeof(error_number));
  } while (count < 0 && errno == EINTR);
  if (count == static_cast<ssize_t>(sizeof(error_number))) {
    ::waitpid(pid, nullptr, 0);
    return Fail(Error::FromErrno(error_number, fmt::format("start {}", arguments[0])));
  }
  return pid;
}

// Reads what is there; true at the end of it.
bool Drain(UniqueFd& fd, std::string& text) {
  std::array<char, 64 * 1024> buffer;
  const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
  if (count < 0) return errno != EINTR && errno != EAGAIN;
  text.append(buffer.data(), static_cast<size_t>(count));
  return count == 0;
}

Status Gather(const Command& command, UniqueFd output, UniqueFd errors, CommandResult& result) {
  while (output.valid() || errors.valid()) {
    std::array<pollfd, 2> polled = {{{output.get(), POLLIN, 0}, {errors.get(), POLLIN, 0}}};
    const int ready = ::poll(polled.data(), polled.size(), kTickMs);
    if (ready < 0 && errno != EINTR) return FailErrno("wait for {}", command.arguments[0]);
    if (command.tick) command.tick();
    if (command.cancel != nullptr && *command.cancel)
      return Fail(ErrorCode::kCancelled, "{} was ended", command.arguments[0]);
    if (ready <= 0) continue;
    if (polled[0].revents != 0 && Drain(output, result.output)) output.Reset();
    if (command.sink && !result.output.empty()) {
      HULL_TRY(command.sink(result.output));
      result.output.clear();
    }
    if (polled[1].revents != 0 && Drain(errors, result.errors)) errors.Reset();
    if (result.output.size() > command.output_cap_bytes) {
      return Fail(ErrorCode::kExhausted, "{} says more than the {} bytes allowed",
                  command.arguments[0], command.output_cap_bytes);
    }
    if (result.errors.size() > 2 * kErrorBytes)
      result.errors.erase(0, result.errors.size() - kErrorBytes);
  }
  return {};
}

}  // namespace

Result<CommandResult> RunCommand(const Command& command) {
  HULL_ASSIGN(Pipe output, MakePipe());
  HULL_ASSIGN(Pipe errors, MakePipe());
  HULL_ASSIGN(Pipe report, MakePipe());
  UniqueFd null_input;
  if (command.input < 0) {
    HULL_ASSIGN(null_input, OpenFile("/dev/null", O_RDONLY));
  }
  ChildFds fds = {command.input < 0 ? null_input.get() : command.input,
                  output.write.get(),
                  errors.write.get(),
                  {},
                  report.write.get()};
  fds.extra.fill(-1);
  HULL_CHECK(command.extra.size() <= kExtraFds);
  std::copy(command.extra.begin(), command.extra.end(), fds.extra.begin());
  HULL_ASSIGN(const pid_t pid,
              Spawn(command, fds, std::move(report.read), std::move(report.write)));
  output.write.Reset();
  errors.write.Reset();
  CommandResult result;
  const Status gathered = Gather(command, std::move(output.read), std::move(errors.read), result);
  if (!gathered) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  HULL_TRY(gathered);
  result.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return result;
}

}  // namespace hull::images
