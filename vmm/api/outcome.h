// How a VM ended, and how hull-vmm says so: its exit code, and the lines on its status descriptor.
#pragma once

#include <optional>
#include <string>
#include <string_view>

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

// Lines of the status descriptor, each with its line feed.
std::string StartedLine();
std::string EndedLine(const Outcome& outcome);

// What a status line says: nullopt for "started", the outcome for "ended". Errors: kInvalidArgument
// for anything else.
Result<std::optional<Outcome>> ParseStatusLine(std::string_view line);

}  // namespace hull::api
