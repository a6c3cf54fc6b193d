// Paths that cannot lead out of a directory, whoever changes the tree meanwhile.
#pragma once

#include <string>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::archive {

// Links on the way: followed with `root` as "/" (a container's own), or an error (the host's files,
// and names that come from a guest).
enum class Links { kInRoot, kRefused };

// open(2) of `path` below the directory `root`. A link at the end is followed unless `flags` has
// O_NOFOLLOW.
Result<UniqueFd> OpenInRoot(int root, const std::string& path, int flags, Links links);

// "a//./b/" as {"a", "b"}; kInvalidArgument when there is "..", a NUL, or a name or path is too
// long.
Result<std::vector<std::string>> SplitPath(const std::string& path);

}  // namespace hull::archive
