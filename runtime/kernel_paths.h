// Files of the kernel that are hidden from a container, or that it may not change: docker's list,
// and what the user makes of it.
#pragma once

#include <string>
#include <vector>

#include "runtime/container_options.h"

namespace hull {

std::vector<std::string> MaskedPaths(const SecurityOptions& security);
std::vector<std::string> ReadOnlyPaths(const SecurityOptions& security);

}  // namespace hull
