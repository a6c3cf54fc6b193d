#include "guest-agent/crun.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "guest-agent/oci.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

namespace hull::agent {
namespace {

constexpr uint64_t kMaxLogBytes = 64 * 1024;
constexpr size_t kMaxMessageBytes = 4096;

std::string StringOf(const boost::json::object& object, std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// The last error in the log, without crun's decoration.
std::string LastMessage(std::string_view log) {
  std::string last;
  while (!log.empty()) {
    const size_t newline = log.find('\n');
    std::string_view line = log.substr(0, newline);
    log = newline == std::string_view::npos ? std::string_view() : log.substr(newline + 1);
    while (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.empty()) continue;
    if (line.front() == '{') {
      const Result<boost::json::object> entry = ParseObject(line, "log");
      if (!entry) continue;
      const std::string level = StringOf(*entry, "level");
      const std::string message = StringOf(*entry, "msg");
      if (!message.empty() && level != "warning") last = message;
    } else {
      last = std::string(line);
    }
  }
  return last.substr(0, kMaxMessageBytes);
}

// "chdir `/x`: No such file or directory": docker takes a directory that is not there for a command
// that is not there.
std::optional<Error> DirectoryError(std::string_view message) {
  constexpr std::string_view kBegin = "chdir `";
  const size_t begin = message.find(kBegin);
  const size_t end = message.rfind("`: ");
  if (begin == std::string_view::npos || end < begin + kBegin.size()) return std::nullopt;
  const std::string_view directory =
      message.substr(begin + kBegin.size(), end - begin - kBegin.size());
  const std::string_view reason = message.substr(end + 3);
  const bool missing = reason == "No such file or directory";
  if (!missing && reason != "Permission denied") return std::nullopt;
  return MakeError(missing ? ErrorCode::kNotFound : ErrorCode::kPermissionDenied,
                   "chdir to cwd (\"{}\") failed: {}{}", directory,
                   static_cast<char>(reason.front() | 0x20), reason.substr(1));
}

}  // namespace

Error CrunError(std::string_view log, std::string_view command) {
  const std::string message = EscapeControl(LastMessage(log));
  const std::string name = EscapeControl(command.substr(0, kMaxMessageBytes));
  if (message.empty()) return Error(ErrorCode::kFailed, "crun failed without a word");
  // docker's words, which scripts look for.
  if (message.find("executable file `") != std::string::npos &&
      message.find("not found in $PATH") != std::string::npos) {
    if (name.find('/') == std::string::npos) {
      return MakeError(ErrorCode::kNotFound, "exec: \"{}\": executable file not found in $PATH",
                       name);
    }
    return MakeError(ErrorCode::kNotFound, "exec: \"{}\": stat {}: no such file or directory", name,
                     name);
  }
  const size_t open = message.find("open executable: ");
  // An empty name is found nowhere; crun finds a directory of $PATH.
  if (open != std::string::npos && name.empty()) {
    return Error(ErrorCode::kNotFound, "exec: \"\": executable file not found in $PATH");
  }
  if (open != std::string::npos) {
    std::string reason = message.substr(open + std::string_view("open executable: ").size());
    if (!reason.empty()) reason[0] = static_cast<char>(reason[0] | 0x20);
    return MakeError(ErrorCode::kPermissionDenied, "exec: \"{}\": {}", name, reason);
  }
  if (std::optional<Error> error = DirectoryError(message)) return std::move(*error);
  return Error(ErrorCode::kFailed, "crun: " + message);
}

void Crun::Run(const std::vector<std::string>& arguments, const SpawnStreams& streams,
               const std::string& log, const std::string& command, Done done) {
  ::unlink(log.c_str());
  std::vector<std::string> all = {binary_,   "--root",       root_,  "--log",
                                  log,       "--log-format", "json", "--cgroup-manager",
                                  "cgroupfs"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  // Until crun's pid file is read, the process it started may come and go unknown.
  auto hold = std::make_shared<Reaper::Hold>(reaper_);
  const Result<pid_t> pid = Spawn(all, streams);
  if (!pid) return done(Fail(pid.error()));
  reaper_.Watch(*pid, [hold, log, command, done = std::move(done)](const ExitStatus& exit) {
    if (exit.code == 0) return done({});
    const Result<std::string> text = ReadFile(log, kMaxLogBytes);
    Error error = CrunError(text ? *text : std::string(), command);
    if (exit.signal != 0) {
      error = MakeError(ErrorCode::kFailed, "crun was killed by signal {}", exit.signal);
    }
    done(Fail(std::move(error)));
  });
}

Status Crun::WriteStartByte(const std::string& container_id) const {
  const std::string path = root_ + "/" + container_id + "/exec.fifo";
  // Non-blocking: a container that has died meanwhile has no reader.
  const UniqueFd fifo(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fifo.valid()) {
    if (errno == ENXIO) return Fail(ErrorCode::kUnavailable, "the container has stopped");
    return FailErrno("open {}", path);
  }
  if (::unlink(path.c_str()) != 0) return FailErrno("remove {}", path);
  const char byte = 0;
  if (::write(fifo.get(), &byte, 1) != 1) return FailErrno("start the container");
  return {};
}

void Crun::RemoveRecords(const std::string& container_id) const {
  const std::string directory = root_ + "/" + container_id;
  for (const char* name : {"status", "config.json", "exec.fifo", "notify"}) {
    ::unlink((directory + "/" + name).c_str());
  }
  ::rmdir(directory.c_str());
}

}  // namespace hull::agent
