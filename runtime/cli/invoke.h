// From the words of one command to its action: options, arguments, --help, wrong usage.
#pragma once

#include <string>
#include <vector>

#include "runtime/cli/command.h"

namespace hull::cli {

// `words`: those behind the command's name. The exit code.
int Invoke(const Command& command, const GlobalOptions& global, std::vector<std::string> words);

}  // namespace hull::cli
