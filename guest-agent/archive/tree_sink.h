// The writing half: a tar into a tree of files.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "guest-agent/archive/in_root.h"
#include "vmm/base/result.h"

namespace hull::archive {

struct SinkRequest {
  std::string path;  // of the directory to extract in, below the root
  Links links = Links::kInRoot;
  bool keep_owner = false;
  // Otherwise what is made belongs to user and group 0; or to whoever extracts (no privilege).
  bool own_by_root = true;
  // On the host, where a tar comes from a guest: no devices, no file capabilities; set-user-id
  // bits only with keep_owner.
  bool distrust = false;
  // The one name in that directory that the tar has to make, and may (its tree with it); empty:
  // any.
  std::string only;
};

struct SinkReport {
  uint64_t entries = 0;
  std::vector<std::string> warnings;
};

// The next bytes of the tar; empty at its end.
using TarSource = std::function<Result<std::span<const std::byte>>()>;

// Extracts. kCorrupt: no tar, or one that is damaged; kNotFound: the directory is not there;
// kUnavailable: an entry would replace a directory, or be a directory in the place of something
// else. What came before an error stays.
Result<SinkReport> ExtractTree(int root, const SinkRequest& request, TarSource source);

}  // namespace hull::archive
