#include "tests/integration/harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>

namespace hull::integration {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kPollMs = 200;
constexpr int kGoneTries = 25;

struct Pipe {
  Pipe() {
    std::array<int, 2> fds{};
    EXPECT_EQ(pipe2(fds.data(), O_CLOEXEC), 0);
    read = fds[0];
    write = fds[1];
  }
  static void Close(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
  ~Pipe() {
    Close(read);
    Close(write);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int read = -1;
  int write = -1;
};

// Reads what is there; closes at the end of file.
void Drain(int& fd, std::string& text) {
  std::array<char, 65536> chunk{};
  const ssize_t got = read(fd, chunk.data(), chunk.size());
  if (got > 0) text.append(chunk.data(), static_cast<size_t>(got));
  if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) Pipe::Close(fd);
}

void Feed(int& fd, std::string_view& left) {
  const ssize_t written = write(fd, left.data(), left.size());
  if (written > 0) left.remove_prefix(static_cast<size_t>(written));
  if (left.empty() || (written < 0 && errno != EINTR && errno != EAGAIN)) Pipe::Close(fd);
}

[[noreturn]] void Child(const std::vector<std::string>& command, const RunOptions& options,
                        const Pipe& in, const Pipe& out, const Pipe& err) {
  setpgid(0, 0);
  dup2(in.read, 0);
  dup2(out.write, 1);
  dup2(err.write, 2);
  signal(SIGPIPE, SIG_DFL);
  for (const std::string& setting : options.environment) putenv(const_cast<char*>(setting.c_str()));
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  _exit(127);
}

int ExitCode(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::vector<std::string> Entries(const std::string& path) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(path.c_str()), closedir);
  while (directory) {
    const dirent* entry = readdir(directory.get());
    if (entry == nullptr) break;
    const std::string name(entry->d_name);
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

// Processes by the name of their program.
std::vector<std::string> ProcessesNamed(const std::string& name) {
  std::vector<std::string> found;
  for (const std::string& pid : Entries("/proc")) {
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream comm("/proc/" + pid + "/comm");
    std::string line;
    if (std::getline(comm, line) && line == name) found.push_back(pid);
  }
  return found;
}

// The same, but for those that are about to be gone: a process that ends closes its files, by which
// others know, some time before it is in no list any more.
std::vector<std::string> LeftOf(const std::string& name) {
  std::vector<std::string> found = ProcessesNamed(name);
  for (int tries = 0; !found.empty() && tries < kGoneTries; ++tries) {
    usleep(kPollMs * 1000);
    found = ProcessesNamed(name);
  }
  return found;
}

}  // namespace

Ended RunProgram(const std::vector<std::string>& command, const RunOptions& options) {
  // A program that does not read its input must not end the test.
  signal(SIGPIPE, SIG_IGN);
  Pipe in;
  Pipe out;
  Pipe err;
  const pid_t child = fork();
  if (child == 0) Child(command, options, in, out, err);
  setpgid(child, child);
  Pipe::Close(in.read);
  Pipe::Close(out.write);
  Pipe::Close(err.write);
  fcntl(in.write, F_SETFL, O_NONBLOCK);
  std::string_view left(options.input);
  if (left.empty()) Pipe::Close(in.write);
  Ended ended;
  const auto deadline = steady_clock::now() + options.limit;
  while (out.read >= 0 || err.read >= 0) {
    std::array<pollfd, 3> wait{pollfd{out.read, POLLIN, 0}, pollfd{err.read, POLLIN, 0},
                               pollfd{in.write, POLLOUT, 0}};
    poll(wait.data(), wait.size(), kPollMs);
    if (wait[0].revents != 0) Drain(out.read, ended.out);
    if (wait[1].revents != 0) Drain(err.read, ended.err);
    if (wait[2].revents != 0) Feed(in.write, left);
    if (!ended.timed_out && steady_clock::now() > deadline) {
      ended.timed_out = true;
      kill(-child, SIGKILL);
    }
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ended.exit_code = ExitCode(status);
  return ended;
}

Ended Shell(const std::string& script, const RunOptions& options) {
  return RunProgram({"bash", "-c", script}, options);
}

Ended HullRun(std::vector<std::string> arguments, const RunOptions& options) {
  arguments.insert(arguments.begin(), {"hull", "run", "--rm"});
  return RunProgram(arguments, options);
}

void HullTest::TearDown() {
  std::vector<std::string> run = Entries("/run/hull");
  // What happened may be read afterwards.
  std::erase_if(run, [](const std::string& name) { return name.starts_with("events.jsonl"); });
  EXPECT_EQ(run, std::vector<std::string>()) << "run directories are left";
  EXPECT_EQ(Entries("/var/lib/hull/containers"), std::vector<std::string>())
      << "containers are left";
  EXPECT_EQ(Entries("/var/lib/hull/names"), std::vector<std::string>()) << "names are left";
  EXPECT_EQ(LeftOf("hull-vmm"), std::vector<std::string>()) << "a virtual machine is left";
  EXPECT_EQ(LeftOf("hull-supervise"), std::vector<std::string>()) << "a supervisor is left";
}

std::ostream& operator<<(std::ostream& out, const Ended& ended) {
  constexpr size_t kShown = 4000;
  return out << "exit code " << ended.exit_code << (ended.timed_out ? " (timed out)" : "")
             << "\nstdout: " << ended.out.substr(0, kShown)
             << "\nstderr: " << ended.err.substr(0, kShown);
}

std::string Field(const std::string& text, const std::string& name) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.compare(0, name.size(), name) != 0) continue;
    std::string value = line.substr(name.size());
    value.erase(0, value.find_first_not_of(" \t:="));
    return value;
  }
  return "(no " + name + ")";
}

}  // namespace hull::integration
