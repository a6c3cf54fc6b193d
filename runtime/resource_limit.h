// Limits of a process's resources (docker's --ulimit).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/container_options.h"
#include "vmm/base/result.h"

namespace hull {

// "nofile=1024:4096", "core=-1", "cpu=infinity". kInvalidArgument, in docker's words.
Result<ResourceLimit> ParseResourceLimit(std::string_view text);

// Replaces the limit of that name; keeps the list sorted.
void SetResourceLimit(std::vector<ResourceLimit>& limits, ResourceLimit limit);

// "RLIMIT_NOFILE".
std::string OciName(const ResourceLimit& limit);

}  // namespace hull
