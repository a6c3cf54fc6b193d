// Containers that are kept after their end: found by name or id, removed.
#pragma once

#include <string>
#include <string_view>

#include "runtime/host_layout.h"
#include "runtime/sandbox_directory.h"
#include "vmm/base/result.h"

namespace hull {

// A name, an id, or the beginning of exactly one id, as an id. kNotFound, kInvalidArgument
// (ambiguous).
Result<std::string> FindContainer(const HostLayout& layout, std::string_view name_or_id);

// kUnavailable: it is running.
Status RemoveStoppedContainer(const HostLayout& layout, std::string_view name_or_id);

}  // namespace hull
