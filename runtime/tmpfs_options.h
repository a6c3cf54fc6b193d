// docker's --tmpfs: a destination and mount options.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/container_options.h"
#include "vmm/base/result.h"

namespace hull {

// "/run:size=64m,mode=1777". Of two for the same destination the later one counts.
// kInvalidArgument, in docker's words.
Status AddTmpfs(std::string_view text, std::vector<TmpfsMount>& mounts);

// The mount options as the OCI runtime gets them: docker's defaults (noexec, nosuid, nodev), and
// the user's over them.
Result<std::vector<std::string>> TmpfsMountOptions(std::string_view options);

}  // namespace hull
