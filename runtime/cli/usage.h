// What is said of a wrong command line, in docker's words; the exit code comes back.
#pragma once

#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "runtime/cli/command.h"

namespace hull::cli {

struct ArgumentCount {
  size_t least = 0;
  size_t most = 0;

  static constexpr size_t kAnyNumber = std::numeric_limits<size_t>::max();
};

// "[OPTIONS] IMAGE [COMMAND] [ARG...]": 1 to any number.
ArgumentCount CountArguments(std::string_view synopsis);

// Empty, or "'hull rm' requires at least 1 argument".
std::string CheckArgumentCount(const Command& command, size_t count);

// "unknown flag: --x", then how it is used.
int WrongFlag(const Command& command, std::string_view message);
int WrongArguments(const Command& command, std::string_view message);
int WrongGlobalFlag(std::string_view word);
// No command is called as the first of `words` (the first two, when the first is a family's).
int UnknownCommand(std::span<const std::string> words);

// The name of a command that is nearest to a mistyped one; empty: none is near.
std::string NearestCommand(std::string_view typed);

}  // namespace hull::cli
