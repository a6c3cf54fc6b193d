// Names for containers that were given none.
#pragma once

#include <string>

#include "vmm/base/result.h"

namespace hull {

// Two words, as docker's are: "brave_turing". Some 4,000 of them, evenly spread.
Result<std::string> RandomContainerName();

}  // namespace hull
