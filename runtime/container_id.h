// Container ids and names, as docker has them.
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.h"

namespace hull {

inline constexpr size_t kContainerIdLength = 64;
inline constexpr size_t kShortIdLength = 12;

// 64 random hexadecimal digits; never only decimal ones in the first 12, which could be taken for a
// number.
Result<std::string> NewContainerId();

bool IsContainerId(std::string_view text);

// [a-zA-Z0-9][a-zA-Z0-9_.-]+; kInvalidArgument with docker's words otherwise.
Status CheckContainerName(std::string_view name);

// Docker shows names with a slash before them, and takes them with it or without.
std::string_view WithoutSlash(std::string_view name);

// RFC 1123 label characters and dots, at most 63; kInvalidArgument otherwise.
Status CheckHostname(std::string_view hostname);

}  // namespace hull
