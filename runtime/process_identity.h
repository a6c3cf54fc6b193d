// A process named so that a later process with the same number is not taken for it.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "vmm/base/result.h"

namespace hull {

struct ProcessIdentity {
  pid_t pid = 0;
  // Clock ticks after boot, /proc/PID/stat field 22.
  uint64_t start_time = 0;

  bool operator==(const ProcessIdentity&) const = default;
};

// kNotFound: there is no such process (or only its remains, waiting for its parent).
Result<ProcessIdentity> IdentifyProcess(pid_t pid);

bool IsAlive(const ProcessIdentity& process);

// SIGKILL, if it is still that process; returns when it is gone, at the latest after `timeout_ms`.
// Gone already is success.
Status KillAndWait(const ProcessIdentity& process, int timeout_ms);

}  // namespace hull
