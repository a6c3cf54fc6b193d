// Splits a command line such as `run`'s: options first, then what is the container's, word for
// word.
#pragma once

#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "vmm/base/result.h"

namespace hull::cli {

struct SplitArguments {
  // For CLI11; "--name=" is "--name" and an empty word, which CLI11 would otherwise take for no
  // value.
  std::vector<std::string> options;
  // From the first word that is neither option nor an option's value; a "--" before it is dropped.
  std::vector<std::string> rest;
};

// By the options declared on `app`. kInvalidArgument, in docker's words: an unknown flag, a missing
// value.
Result<SplitArguments> SplitCommandLine(const CLI::App& app,
                                        const std::vector<std::string>& arguments);

}  // namespace hull::cli
