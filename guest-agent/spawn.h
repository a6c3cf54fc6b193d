// Starting a helper program (crun).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "vmm/base/result.h"

namespace hull::agent {

// Descriptors for the program's standard streams; -1 is /dev/null. The caller keeps and closes
// them.
struct SpawnStreams {
  int input = -1;
  int output = -1;
  int error = -1;
  // Further ones, as descriptors 3 and 4; -1: not there.
  int third = -1;
  int fourth = -1;
};

// Starts `arguments[0]` (an absolute path) with `arguments`, an environment of PATH alone, default
// signal dispositions and no blocked signals. Every other descriptor must be close-on-exec. kFailed
// with the errno's text when it cannot be started.
Result<pid_t> Spawn(const std::vector<std::string>& arguments, const SpawnStreams& streams);

}  // namespace hull::agent
