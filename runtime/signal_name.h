// Names and numbers of signals, as docker takes them: "SIGTERM", "term", "15", "RTMIN+3".
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.h"

namespace hull {

// Linux x86-64's number, 1 to 64. kInvalidArgument, in docker's words.
Result<int> ParseSignal(std::string_view text);

// "SIGTERM"; the number for what has no name.
std::string SignalName(int number);

}  // namespace hull
