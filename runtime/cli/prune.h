// Removing what is not needed any more: stopped containers, and what killed commands left.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/containers.h"
#include "vmm/base/result.h"

namespace hull::cli {

struct PrunedContainers {
  std::vector<std::string> ids;
  uint64_t freed_bytes = 0;
};

// Removes containers that do not run. `filters`: docker's "until=24h" (or a time), "label=x",
// "label!=x=y"; kInvalidArgument.
Result<PrunedContainers> PruneContainers(const Containers& containers,
                                         const std::vector<std::string>& filters);

// Clears away what no command has cleared yet: dead sandboxes, names that lead nowhere, half-made
// files. Returns the bytes that came free.
uint64_t PruneLeftovers(const Containers& containers);

}  // namespace hull::cli
