// The reading half: a tree of files into a tar.
#pragma once

#include <string>

#include "guest-agent/archive/file_entry.h"
#include "vmm/base/result.h"

namespace hull::archive {

struct SourceRequest {
  std::string path;  // below the root; absolute or not
  bool follow_link = false;
  std::string name;  // of the entry of `path`
};

// Adds the tree at `request.path` below the open directory `root`, which no link leads out of.
// kNotFound: nothing is there.
Status AddTree(int root, const SourceRequest& request, EntryWriter& entries);

}  // namespace hull::archive
