#include "guest-agent/processes.h"

#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <map>
#include <string>

#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::agent {
namespace {

constexpr size_t kMaxProcesses = 4096;
constexpr uint64_t kMaxFileBytes = 64 * 1024;
constexpr size_t kMaxArgumentBytes = 4096;
constexpr size_t kMaxNameBytes = 256;
constexpr int64_t kSecond = 1'000'000'000;
// The first of the eight major numbers of Unix98 terminals (linux/major.h).
constexpr unsigned kPtyMajor = 136;
constexpr unsigned kPtyMajors = 8;
constexpr unsigned kConsoleMajor = 5;

template <typename T>
bool Next(std::string_view& text, T& value) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

int64_t Clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * kSecond + now.tv_nsec;
}

int64_t TickNs() {
  static const int64_t length = kSecond / std::max(1L, ::sysconf(_SC_CLK_TCK));
  return length;
}

// Of a file that may be longer than wanted (a command line of megabytes): its beginning.
std::string ReadBeginning(const std::string& path, size_t cap_bytes) {
  const Result<UniqueFd> file = OpenFile(path, 0);
  std::string text(cap_bytes, '\0');
  const ssize_t size = file ? ::read(file->get(), text.data(), text.size()) : 0;
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return text;
}

std::string NameOr(const std::string& name, uint32_t number) {
  return name.empty() ? std::to_string(number) : EscapeControl(name.substr(0, kMaxNameBytes));
}

class Lister {
 public:
  Lister(pid_t init, const AccountFiles& files) : files_(files) {
    const Result<std::string> text = ReadFile(fmt::format("/proc/{}/status", init), kMaxFileBytes);
    const auto status = text ? ParseProcessStatus(*text) : std::nullopt;
    if (status && !status->numbers.empty()) level_ = status->numbers.size() - 1;
  }

  void Add(pid_t pid, v1::ProcessesResponse& response);
  void Number(v1::ProcessesResponse& response);

 private:
  const std::string& UserName(uint32_t user) {
    const auto [entry, added] = users_.try_emplace(user);
    if (added) entry->second = NameOr(NameOfUser(files_, user), user);
    return entry->second;
  }
  const std::string& GroupName(uint32_t group) {
    const auto [entry, added] = groups_.try_emplace(group);
    if (added) entry->second = NameOr(NameOfGroup(files_, group), group);
    return entry->second;
  }

  const AccountFiles& files_;
  size_t level_ = 0;  // how deep the container's PID namespace is
  std::map<uint32_t, std::string> users_;
  std::map<uint32_t, std::string> groups_;
  std::map<uint32_t, uint32_t> numbers_;  // guest's number to the container's
};

void Lister::Add(pid_t pid, v1::ProcessesResponse& response) {
  const std::string directory = fmt::format("/proc/{}", pid);
  const Result<std::string> stat_text = ReadFile(directory + "/stat", kMaxFileBytes);
  const Result<std::string> status_text = ReadFile(directory + "/status", kMaxFileBytes);
  if (!stat_text || !status_text) return;
  const auto stat = ParseProcessStat(*stat_text);
  const auto status = ParseProcessStatus(*status_text);
  if (!stat || !status) return;
  v1::ProcessInfo* info = response.add_processes();
  const auto number = static_cast<uint32_t>(pid);
  info->set_pid(status->numbers.size() > level_ ? status->numbers[level_] : number);
  numbers_.emplace(number, info->pid());
  // Numbers of the guest until all are known.
  info->set_parent(static_cast<uint32_t>(stat->parent));
  info->set_group(static_cast<uint32_t>(stat->group));
  info->set_session(static_cast<uint32_t>(stat->session));
  info->set_real_user(status->real_user);
  info->set_effective_user(status->effective_user);
  info->set_real_group(status->real_group);
  info->set_effective_group(status->effective_group);
  info->set_real_user_name(UserName(status->real_user));
  info->set_effective_user_name(UserName(status->effective_user));
  info->set_real_group_name(GroupName(status->real_group));
  info->set_effective_group_name(GroupName(status->effective_group));
  const auto ticks = [](uint64_t count) { return count * static_cast<uint64_t>(TickNs()); };
  info->set_started_at_ns(Clock(CLOCK_REALTIME) - Clock(CLOCK_BOOTTIME) +
                          static_cast<int64_t>(ticks(stat->start_ticks)));
  info->set_user_time_ns(ticks(stat->user_ticks));
  info->set_system_time_ns(ticks(stat->system_ticks));
  info->set_virtual_bytes(stat->virtual_bytes);
  info->set_resident_bytes(stat->resident_pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)));
  info->set_threads(stat->threads);
  info->set_nice(stat->nice);
  info->set_priority(stat->priority);
  info->set_state(std::string(1, stat->state));
  info->set_terminal(TerminalName(stat->terminal));
  info->set_foreground(stat->foreground > 0 && stat->foreground == stat->group);
  info->set_command(std::string(stat->command));
  info->set_arguments(ReadBeginning(directory + "/cmdline", kMaxArgumentBytes));
  info->set_wait_channel(EscapeControl(ReadBeginning(directory + "/wchan", 64)));
}

void Lister::Number(v1::ProcessesResponse& response) {
  const auto translate = [this](uint32_t number) {
    const auto found = numbers_.find(number);
    return found == numbers_.end() ? 0 : found->second;
  };
  for (v1::ProcessInfo& info : *response.mutable_processes()) {
    info.set_parent(translate(info.parent()));
    info.set_group(translate(info.group()));
    info.set_session(translate(info.session()));
  }
}

}  // namespace

std::optional<ProcessStat> ParseProcessStat(std::string_view text) {
  const size_t open = text.find('(');
  const size_t close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open ||
      text.size() < close + 3) {
    return std::nullopt;
  }
  ProcessStat stat;
  stat.command = text.substr(open + 1, close - open - 1);
  stat.state = text[close + 2];
  std::string_view rest = text.substr(close + 3);
  int64_t skipped = 0;
  const auto skip = [&](int count) {
    for (; count > 0; --count) {
      if (!Next(rest, skipped)) return false;
    }
    return true;
  };
  // After the state: 4 ppid, 5 pgrp, 6 session, 7 tty_nr, 8 tpgid; 14 utime, 15 stime;
  // 18 priority, 19 nice, 20 num_threads; 22 starttime, 23 vsize, 24 rss.
  const bool complete = Next(rest, stat.parent) && Next(rest, stat.group) &&
                        Next(rest, stat.session) && Next(rest, stat.terminal) &&
                        Next(rest, stat.foreground) && skip(5) && Next(rest, stat.user_ticks) &&
                        Next(rest, stat.system_ticks) && skip(2) && Next(rest, stat.priority) &&
                        Next(rest, stat.nice) && Next(rest, stat.threads) && skip(1) &&
                        Next(rest, stat.start_ticks) && Next(rest, stat.virtual_bytes) &&
                        Next(rest, stat.resident_pages);
  if (!complete) return std::nullopt;
  return stat;
}

std::optional<ProcessStatus> ParseProcessStatus(std::string_view text) {
  ProcessStatus status;
  bool found = false;
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    std::string_view line = text.substr(0, newline);
    text = newline == std::string_view::npos ? std::string_view() : text.substr(newline + 1);
    if (line.starts_with("Uid:")) {
      line.remove_prefix(4);
      found = Next(line, status.real_user) && Next(line, status.effective_user);
      if (!found) return std::nullopt;
    } else if (line.starts_with("Gid:")) {
      line.remove_prefix(4);
      if (!Next(line, status.real_group) || !Next(line, status.effective_group)) return {};
    } else if (line.starts_with("NSpid:")) {
      line.remove_prefix(6);
      for (uint32_t number = 0; Next(line, number);) status.numbers.push_back(number);
    }
  }
  if (!found) return std::nullopt;
  return status;
}

std::string TerminalName(int device) {
  const auto number = static_cast<dev_t>(static_cast<unsigned>(device));
  if (major(number) >= kPtyMajor && major(number) < kPtyMajor + kPtyMajors) {
    return fmt::format("pts/{}", (major(number) - kPtyMajor) * 256 + minor(number));
  }
  if (major(number) == kConsoleMajor && minor(number) == 1) return "console";
  return {};
}

v1::ProcessesResponse ListProcesses(std::vector<pid_t> pids, pid_t init,
                                    const AccountFiles& files) {
  v1::ProcessesResponse response;
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  if (pids.size() > kMaxProcesses) pids.resize(kMaxProcesses);
  Lister lister(init, files);
  for (const pid_t pid : pids) lister.Add(pid, response);
  lister.Number(response);
  response.set_now_ns(Clock(CLOCK_REALTIME));
  struct sysinfo info {};
  if (::sysinfo(&info) == 0) response.set_memory_bytes(uint64_t{info.totalram} * info.mem_unit);
  return response;
}

}  // namespace hull::agent
