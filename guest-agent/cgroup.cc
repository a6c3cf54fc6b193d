#include "guest-agent/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <memory>

#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

namespace hull::agent {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 20;
constexpr size_t kMaxProcesses = 65536;
// A container with a cgroup namespace makes what groups it likes: deeper ones are the kernel's
// business.
constexpr int kMaxDepth = 16;

// Calls `visit` with each directory below `directory`.
template <typename Visit>
void EachChild(const std::string& directory, Visit visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (!stream) return;
  while (const dirent* entry = ::readdir(stream.get())) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') visit(directory + "/" + entry->d_name);
  }
}

void Collect(const std::string& directory, int depth, std::vector<pid_t>* pids) {
  if (const Result<std::string> text = ReadFile(directory + "/cgroup.procs", kMaxFileBytes)) {
    const char* at = text->data();
    const char* const end = at + text->size();
    while (at < end && pids->size() < kMaxProcesses) {
      pid_t pid = 0;
      const auto [next, failed] = std::from_chars(at, end, pid);
      if (failed != std::errc()) break;
      pids->push_back(pid);
      at = next + 1;
    }
  }
  if (depth == 0) return;
  EachChild(directory, [&](const std::string& child) { Collect(child, depth - 1, pids); });
}

Status RemoveTree(const std::string& directory, int depth) {
  if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) return {};
  if (errno == EBUSY && depth > 0) {
    EachChild(directory, [&](const std::string& child) {
      [[maybe_unused]] const Status ignored = RemoveTree(child, depth - 1);
    });
    if (::rmdir(directory.c_str()) == 0) return {};
  }
  if (errno == EBUSY) return Fail(ErrorCode::kUnavailable, "{} has processes", directory);
  return FailErrno("remove {}", directory);
}

}  // namespace

uint64_t FlatKeyedValue(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    const std::string_view line = text.substr(0, newline);
    text = newline == std::string_view::npos ? std::string_view() : text.substr(newline + 1);
    if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ' ') continue;
    uint64_t value = 0;
    const std::string_view number = line.substr(key.size() + 1);
    std::from_chars(number.data(), number.data() + number.size(), value);
    return value;
  }
  return 0;
}

std::vector<pid_t> Cgroup::Processes() const {
  std::vector<pid_t> pids;
  if (!directory_.empty()) Collect(directory_, kMaxDepth, &pids);
  return pids;
}

Status Cgroup::Write(const char* file, std::string_view value) const {
  HULL_ASSIGN(const UniqueFd fd, OpenFile(directory_ + "/" + file, O_WRONLY));
  if (::write(fd.get(), value.data(), value.size()) < 0) return FailErrno("{}", file);
  return {};
}

Status Cgroup::KillAll() const {
  return Write("cgroup.kill", "1");
}

Status Cgroup::SetFrozen(bool frozen) const {
  return Write("cgroup.freeze", frozen ? "1" : "0");
}

bool Cgroup::Frozen() const {
  const Result<std::string> events = ReadFile(directory_ + "/cgroup.events", kMaxFileBytes);
  return events && FlatKeyedValue(*events, "frozen") == 1;
}

bool Cgroup::OutOfMemory() const {
  const Result<std::string> events = ReadFile(directory_ + "/memory.events", kMaxFileBytes);
  return events && FlatKeyedValue(*events, "oom_kill") > 0;
}

Status Cgroup::Remove() const {
  return RemoveTree(directory_, kMaxDepth);
}

}  // namespace hull::agent
