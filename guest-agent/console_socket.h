// Where crun hands over the terminal that it made in the container.
#pragma once

#include <string>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::agent {

// Listens at `path` (at most 107 characters), non-blocking.
Result<UniqueFd> ListenForConsole(const std::string& path);

// The descriptor that crun has sent there; crun has ended, so it is there or never comes.
Result<UniqueFd> ReceiveConsole(const UniqueFd& listener);

}  // namespace hull::agent
