// The command line of hull-vmm.
#pragma once

#include <span>
#include <string>

#include "vmm/base/log.h"
#include "vmm/base/result.h"

namespace hull {

struct Options {
  enum class Action { kRun, kCheck, kVersion, kHelp };

  Action action = Action::kRun;
  std::string config_path;  // "-" is standard input
  int status_fd = -1;       // none
  log::Level log_level = log::Level::kWarn;
};

// `arguments` without the program's name. Errors: kInvalidArgument.
//
// By hand: there are six flags, and CLI11 would cost every start of a VM more instructions than
// reading its configuration.
Result<Options> ParseOptions(std::span<char* const> arguments);

extern const char kUsage[];

}  // namespace hull
