// Quantities as docker's flags take them.
#pragma once

#include <cstdint>
#include <string_view>

#include "vmm/base/result.h"

namespace hull::cli {

// "512m", "1.5g", "64MiB", "1048576": units of 1024, upper or lower case. kInvalidArgument
// otherwise.
Result<uint64_t> ParseBytes(std::string_view text);

// "1.5" CPUs as 1,500,000,000; at most nine decimals. kInvalidArgument otherwise.
Result<uint64_t> ParseNanoCpus(std::string_view text);

}  // namespace hull::cli
