// docker's --security-opt, and what podman has beside it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/container_options.h"
#include "vmm/base/result.h"

namespace hull {

inline constexpr uint64_t kMaxSeccompProfileBytes = 4ULL << 20;

// Reads the file of seccomp=FILE.
using ProfileReader = std::function<Result<std::string>(const std::string& path)>;

// Adds what `options` say to `security`. kInvalidArgument in docker's words; kUnsupported for what
// the guest's kernel lacks, and why.
Status ApplySecurityOptions(const std::vector<std::string>& options, const ProfileReader& read,
                            SecurityOptions& security);

}  // namespace hull
