// One container's control group (version 2), by its directory.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace hull::agent {

class Cgroup {
 public:
  Cgroup() = default;
  // `directory`: for example "/sys/fs/cgroup/web". It need not exist yet.
  explicit Cgroup(std::string directory) : directory_(std::move(directory)) {}

  const std::string& directory() const { return directory_; }

  // Processes of the group and the groups below it, at most 65,536.
  std::vector<pid_t> Processes() const;

  // SIGKILL to all of them, new ones included.
  Status KillAll() const;

  // Begins to stop or resume all processes; Frozen() tells when it is so.
  Status SetFrozen(bool frozen) const;
  bool Frozen() const;

  // The kernel's out-of-memory killer has struck here, because of a limit or because the guest was
  // full.
  bool OutOfMemory() const;

  // Removes the group and those below it. kUnavailable while there are processes.
  Status Remove() const;

 private:
  Status Write(const char* file, std::string_view value) const;

  std::string directory_;
};

// The number behind `key` in a file of "key number" lines; 0 when it is not there.
uint64_t FlatKeyedValue(std::string_view text, std::string_view key);

}  // namespace hull::agent
