// Environment and labels from flags and files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/cli/flag_reader.h"
#include "runtime/cli/run_options.h"
#include "vmm/base/result.h"

namespace hull::cli {

// Files first, then -e, so that the latter wins: "NAME=value", or "NAME" to take the image's away.
Result<std::vector<std::string>> ReadEnvironment(const FlagReader& reader,
                                                 const HostVariable& host_variable);

// Files first, then -l: "name=value".
Result<std::vector<std::string>> ReadLabels(const FlagReader& reader);

// "name=value", or "name" for an empty value; a later one of a name replaces the earlier one.
void SetNameValue(std::vector<NameValue>& list, std::string_view text);

}  // namespace hull::cli
