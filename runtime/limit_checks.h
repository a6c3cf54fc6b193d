// What the limits that a user asks for must fulfil: docker's rules and words.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/container_options.h"
#include "vmm/base/result.h"

namespace hull {

// "0-3,5" as the CPUs 0, 1, 2, 3 and 5, sorted. kInvalidArgument.
Result<std::vector<uint32_t>> ParseCpuList(std::string_view text);

// kInvalidArgument. `host_cpus`: online CPUs. Adds to `warnings` what is of no effect.
Status CheckLimits(const ContainerOptions& options, uint32_t host_cpus,
                   std::vector<std::string>& warnings);

// Whether a container may set it: what belongs to its IPC namespace, and the network's.
bool IsSysctlAllowed(std::string_view name);

}  // namespace hull
