// What `rmi` and `prune` say of images that went.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "images/store/store.h"
#include "runtime/cli/command.h"
#include "vmm/base/result.h"

namespace hull::cli {

// "Untagged: busybox:latest" and "Deleted: sha256:...", a line each. `lower_case`: as prune has
// them.
std::string RemovalLines(const images::RemovalReport& report, bool lower_case);

struct ImagePruneFlags {
  bool all = false;                  // images with names as well
  std::vector<std::string> filters;  // "until=24h", "label=x", "label!=x=y"
};

struct ImagePruneResult {
  std::string text;  // "Deleted Images:" and its lines, as docker has them; empty when none went
  uint64_t freed_bytes = 0;
};

// Removes images that no container uses, for `hull image prune` and `hull system prune`.
Result<ImagePruneResult> PruneImages(const ImagePruneFlags& flags, const GlobalOptions& global);

}  // namespace hull::cli
