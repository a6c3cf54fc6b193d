// A container's processes, read from /proc: what `ps` shows.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "guest-agent/protocol/agent.pb.h"
#include "guest-agent/user.h"
#include "vmm/base/result.h"

namespace hull::agent {

// The fields of /proc/PID/stat (proc(5)) that are wanted; times in clock ticks.
struct ProcessStat {
  char state = '?';
  std::string_view command;
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  int terminal = 0;
  pid_t foreground = 0;
  uint64_t user_ticks = 0;
  uint64_t system_ticks = 0;
  int priority = 0;
  int nice = 0;
  uint32_t threads = 0;
  uint64_t start_ticks = 0;
  uint64_t virtual_bytes = 0;
  uint64_t resident_pages = 0;
};

// A process chooses its own name, brackets and line feeds included. Nothing: not such a text.
std::optional<ProcessStat> ParseProcessStat(std::string_view text);

// Of /proc/PID/status: a process's number in each PID namespace, outermost first, and its owners.
struct ProcessStatus {
  std::vector<uint32_t> numbers;
  uint32_t real_user = 0;
  uint32_t effective_user = 0;
  uint32_t real_group = 0;
  uint32_t effective_group = 0;
};
std::optional<ProcessStatus> ParseProcessStatus(std::string_view text);

// "pts/3" for a device number as in /proc/PID/stat; empty for none, or one of another kind.
std::string TerminalName(int device);

// Those of `pids` that are still there. `init`: the container's first process, in whose PID
// namespace numbers are given.
v1::ProcessesResponse ListProcesses(std::vector<pid_t> pids, pid_t init, const AccountFiles& files);

}  // namespace hull::agent
