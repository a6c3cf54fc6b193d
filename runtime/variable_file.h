// Files of --env-file and --label-file: "NAME=value" or "NAME" a line, docker's format.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace hull {

inline constexpr uint64_t kMaxVariableFileBytes = 16ULL << 20;

// The value of a name that has none in the file; nullopt: the line is left out.
using VariableLookup = std::function<std::optional<std::string>(const std::string& name)>;

// `text`: what the file holds. Empty lines and those that begin with # do not count. Errors:
// kInvalidArgument, in docker's words (without the file's name).
Result<std::vector<std::string>> ParseVariableFile(std::string_view text,
                                                   const VariableLookup& lookup);

}  // namespace hull
