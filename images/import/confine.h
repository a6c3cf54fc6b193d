// Takes away from this process everything that reading one blob and writing one file does not need.
#pragma once

#include "vmm/base/result.h"

namespace hull::images {

// From here on: no new privileges, no other user's rights (root becomes nobody), no new
// descriptors, no sockets, no processes; memory at most `memory_bytes`. What else a system call
// would do kills the process. Irrevocable. The open descriptors stay usable.
Status Confine(uint64_t memory_bytes);

}  // namespace hull::images
