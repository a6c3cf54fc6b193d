// hull attach: joins a running container.
#include <unistd.h>

#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/container_command.h"
#include "runtime/cli/foreground.h"
#include "runtime/container_lock.h"
#include "runtime/events.h"

namespace hull::cli {
namespace {

struct AttachFlags {
  bool no_input = false;
  bool signal_proxy = true;
  std::string detach_keys;
};

Result<int> Attach(const Containers* containers, const std::string& name,
                   const AttachFlags& flags) {
  HULL_ASSIGN(const ContainerRecord record, containers->Load(name));
  if (!IsRunning(record)) {
    return Fail(ErrorCode::kUnavailable,
                "You cannot attach to a stopped container, start it first");
  }
  if (record.state.status == ContainerStatus::kPaused) {
    return Fail(ErrorCode::kUnavailable,
                "You cannot attach to a paused container, unpause it first");
  }
  ForegroundPlan plan;
  plan.id = record.id;
  plan.terminal = record.process.terminal;
  plan.input = !flags.no_input && record.process.interactive;
  plan.owner = false;
  plan.signal_proxy = flags.signal_proxy;
  HULL_ASSIGN(plan.detach_keys, DetachKeys::Parse(flags.detach_keys));
  if (!plan.terminal) plan.detach_keys = {};
  if (plan.terminal && plan.input && isatty(STDIN_FILENO) == 0) {
    return Fail(ErrorCode::kInvalidArgument, "the input device is not a TTY");
  }
  const auto* phases = new PhaseLog(false);
  HULL_ASSIGN(Foreground * foreground, Foreground::Make(*containers, *phases, std::move(plan)));
  HULL_TRY(foreground->Attach());
  RecordContainerEvent(containers->layout(), record, "attach");
  return foreground->Run();
}

Action DeclareAttach(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<AttachFlags>();
  app.add_flag("--no-stdin", flags->no_input, "Do not give it this standard input");
  app.add_flag("--sig-proxy", flags->signal_proxy,
               "Hand signals on to it (true unless said =false)")
      ->default_val(true);
  app.add_option("--detach-keys", flags->detach_keys, "Keys that leave it running: ctrl-p,ctrl-q")
      ->type_name("KEYS");
  return [flags, &global](const std::vector<std::string>& names) {
    Result<HostLayout> layout = FindHostLayout(global.root, global.state);
    // Lives until the process ends, as Foreground does.
    Result<int> exit_code = layout
                                ? Attach(new Containers(std::move(*layout)), names.front(), *flags)
                                : Fail(std::move(layout).error());
    if (exit_code) return *exit_code;
    PrintError(exit_code.error());
    return kExitFailed;
  };
}

}  // namespace

extern const Command kAttach;
constinit const Command kAttach = {
    .name = "attach",
    .group = Group::kContainers,
    .aliases = "container attach",
    .summary = "Give a running container this terminal or these streams",
    .arguments = "[OPTIONS] CONTAINER",
    .offered = Offered::kRunning,
    .declare = DeclareAttach,
};

}  // namespace hull::cli
