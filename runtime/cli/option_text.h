// The options of a command as people read them, taken from their CLI11 declarations.
#pragma once

#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "runtime/cli/command.h"

namespace hull::cli {

struct OptionText {
  char letter = '\0';       // 'a'; '\0': none
  std::string name;         // "all"; empty: it has only a letter
  std::string value;        // "FILE", "missing|always|never"; empty: it takes none
  std::string description;  // without a full stop at its end
  bool repeats = false;     // may be given more than once
};

// Shown ones, sorted by name.
std::vector<OptionText> OptionsOf(const Command& command);

// "-a, --all"
std::string FlagNames(const CLI::Option& option);

// Before a command declares its options on `app`: no --help of CLI11's own.
void PrepareApp(CLI::App& app);
// After it: docker's rules of what may be repeated.
void SetRules(CLI::App& app);

}  // namespace hull::cli
