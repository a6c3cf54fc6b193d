#include "guest-agent/spawn.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <csignal>

#include "vmm/base/unique_fd.h"

namespace hull::agent {
namespace {

constexpr char kNull[] = "/dev/null";
constexpr int kFirstCopy = 10;

// posix_spawn's dup2 clears close-on-exec even when source and target are the same.
void AddStream(posix_spawn_file_actions_t* actions, int fd, int target, int null_flags) {
  if (fd >= 0) {
    ::posix_spawn_file_actions_adddup2(actions, fd, target);
  } else {
    ::posix_spawn_file_actions_addopen(actions, target, kNull, null_flags, 0);
  }
}

}  // namespace

Result<pid_t> Spawn(const std::vector<std::string>& arguments, const SpawnStreams& streams) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  // SAFETY: posix_spawn does not change the strings; its type is older than const.
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  char* environment[] = {path, nullptr};

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  AddStream(&actions, streams.input, STDIN_FILENO, O_RDONLY);
  AddStream(&actions, streams.output, STDOUT_FILENO, O_WRONLY);
  AddStream(&actions, streams.error, STDERR_FILENO, O_WRONLY);
  // Copies out of the way: neither may be overwritten before it has been given.
  const UniqueFd third(streams.third < 0 ? -1
                                         : ::fcntl(streams.third, F_DUPFD_CLOEXEC, kFirstCopy));
  const UniqueFd fourth(streams.fourth < 0 ? -1
                                           : ::fcntl(streams.fourth, F_DUPFD_CLOEXEC, kFirstCopy));
  if (third.valid()) ::posix_spawn_file_actions_adddup2(&actions, third.get(), 3);
  if (fourth.valid()) ::posix_spawn_file_actions_adddup2(&actions, fourth.get(), 4);

  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  sigset_t all;
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  pid_t pid = -1;
  const int failed = ::posix_spawn(&pid, argv[0], &actions, &attributes, argv.data(), environment);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) return Fail(Error::FromErrno(failed, "start " + arguments[0]));
  return pid;
}

}  // namespace hull::agent
