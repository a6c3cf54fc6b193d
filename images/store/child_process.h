// Programs that the store starts: skopeo, hull-import. A child dies with the thread that started
// it, so that a killed pull leaves nobody writing.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace hull::images {

struct Command {
  std::vector<std::string>
      arguments;  // [0]: the program, looked up on the PATH unless it has a slash
  std::vector<std::string> environment;  // "NAME=VALUE", besides this process's own
  int input = -1;                        // its standard input; -1: /dev/null
  std::vector<int> extra;                // its descriptors 3, 4, ...
  uint64_t output_cap_bytes = uint64_t{8} << 20;
  std::function<void()> tick;  // called every 100 ms or so while it runs; may be empty
  // Set by another thread, ends it within some 100 ms: kCancelled. May be null.
  const std::atomic<bool>* cancel = nullptr;
  // Gets its output as it comes, instead of CommandResult; an error ends it. May be empty.
  std::function<Status(std::string_view)> sink;
};

struct CommandResult {
  int exit_code = 0;  // 128 + n when signal n ended it
  std::string output;
  std::string errors;  // the last 64 KiB of standard error
};

// Runs it to its end. kNotFound when there is no such program; more output than the cap ends it and
// is kExhausted.
Result<CommandResult> RunCommand(const Command& command);

}  // namespace hull::images
