// The manual pages, made from the descriptions of the commands.
#pragma once

#include <string>

#include "runtime/cli/command.h"

namespace hull::cli {

// "hull-container-prune"
std::string ManualName(const Command& command);

// roff with man(7)'s macros.
std::string CommandManual(const Command& command);
std::string GeneralManual();

}  // namespace hull::cli
