// How a VM starts and ends, and how hull-vmm says so: the lines on its status descriptor, and its
// exit code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "vmm/base/result.h"

namespace hull::api {

enum class Cause {
  kPowerOff,  // the guest switched itself off in order
  kReset,     // the guest asked for a reboot, which hull does not do: the VM ends
  kKilled,    // kill on the control socket, SIGTERM or SIGINT
  kPanic,     // the guest's kernel reported a panic
  kCrash,     // triple fault, or a state that KVM cannot run
  kError,     // the host failed while the VM ran
  kStart,     // the configuration is wrong or the VM could not be made; nothing ran
};

// "power-off", "reset", ...
std::string_view CauseName(Cause cause);
std::optional<Cause> CauseFromName(std::string_view name);

// The exit code of hull-vmm for a VM that ended so.
int ExitCode(Cause cause);

struct Outcome {
  Cause cause = Cause::kError;
  std::string message = {};  // one line for a person: what happened and, where known, why
  std::string console = {};  // the last lines of the guest's console

  bool operator==(const Outcome&) const = default;
};

// A machine with passed-through devices has its memory pinned before it starts: said about once a
// second, so not at all when that is quick.
struct PinningProgress {
  uint64_t done_bytes = 0;
  uint64_t total_bytes = 0;

  bool operator==(const PinningProgress&) const = default;
};

// The first vCPU is about to run.
struct Started {
  bool operator==(const Started&) const = default;
};

// Lines of the status descriptor, each with its line feed, in this order: any number of the first
// kind, the second unless the machine cannot be made or is ended before, and the third.
std::string PinningLine(const PinningProgress& progress);
std::string StartedLine();
std::string EndedLine(const Outcome& outcome);

// What a status line says.
using StatusEvent = std::variant<PinningProgress, Started, Outcome>;
// Errors: kInvalidArgument for anything else.
Result<StatusEvent> ParseStatusLine(std::string_view line);

}  // namespace hull::api
