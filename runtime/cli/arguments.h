// Splits a command line into options and what is none, by docker's rules.
#pragma once

#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "vmm/base/result.h"

namespace hull::cli {

// Whether options may come behind the first argument, too.
enum class Mixed { kNo, kYes };

struct SplitArguments {
  // For CLI11, each as "--name=VALUE", so that no value is taken for an option. (An empty value:
  // "--name" and an empty word, for CLI11 takes "--name=" for no value.)
  std::vector<std::string> options;
  // The words that are neither options nor an option's value; with Mixed::kNo all behind the first
  // of them, word for word. The first "--" is dropped: all behind it is no option.
  std::vector<std::string> rest;
};

// By the options declared on `app`. kInvalidArgument, in docker's words: an unknown flag, a missing
// value.
Result<SplitArguments> SplitCommandLine(const CLI::App& app,
                                        const std::vector<std::string>& arguments,
                                        Mixed mixed = Mixed::kNo);

}  // namespace hull::cli
