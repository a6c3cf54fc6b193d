// Sandboxes whose supervisor is dead: their end recorded, what is left of them removed.
#pragma once

#include <set>
#include <string>

#include "runtime/containers.h"
#include "vmm/base/result.h"

namespace hull {

// What a container has as its exit code whose supervisor died: docker's for SIGKILL.
inline constexpr int kExitSwept = 137;

struct SweepResult {
  std::set<std::string> live;  // ids whose run directory somebody has
  int swept = 0;
};

// All run directories, and directories of containers that were left half made or half removed. What
// cannot be swept is warned of, and left for the next.
SweepResult SweepDeadSandboxes(const Containers& containers);

// One container that nobody runs, whatever its record says: nothing happens when it lives.
Status SweepDead(const Containers& containers, const std::string& id);

// A container's directory and name; by whoever has its run directory, or knows that nobody has.
// kNotFound.
Status RemoveContainer(const Containers& containers, const std::string& id);

}  // namespace hull
