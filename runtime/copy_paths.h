// docker cp's rules: where a copy goes, and under what name.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "vmm/base/result.h"

namespace hull {

// What is at the end of a path, links followed.
struct PathState {
  bool exists = false;
  bool is_directory = false;
};

struct CopyTarget {
  std::string directory;  // to extract in; it has to be there
  std::string name;       // of the archive's top entry
};

// `source`, `destination`: as the user wrote them, but absolute. kInvalidArgument, in docker's
// words.
Result<CopyTarget> PlanCopy(const std::string& source, bool source_is_directory,
                            const std::string& destination, const PathState& state);

// "web:/srv" is a container and a path; "./a:b", "/a:b" and "a" are paths of the host, "-" is a
// stream.
struct CopyPlace {
  std::optional<std::string> container;
  std::string path;
};
CopyPlace ParseCopyPlace(std::string_view text);

// The last part of a path, slashes at its end ignored; "/" for the root, "." for "a/.".
std::string BaseName(std::string_view path);
// What is in front of it: "/a" for "/a/b", "/" for "/a".
std::string ParentOf(std::string_view path);

}  // namespace hull
