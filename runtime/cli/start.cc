// hull start: starts containers that are there, attached or not.
#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/container_command.h"
#include "runtime/cli/foreground.h"
#include "runtime/container_lock.h"
#include "runtime/events.h"

namespace hull::cli {
namespace {

struct StartFlags {
  bool attach = false;
  bool interactive = false;
  std::string detach_keys;
};

Result<int> StartAttached(const Containers* containers, const std::string& name,
                          const StartFlags& flags) {
  HULL_ASSIGN(const ContainerRecord record, containers->Load(name));
  ForegroundPlan plan;
  plan.id = record.id;
  plan.terminal = record.process.terminal;
  plan.input = flags.interactive && record.process.interactive;
  plan.output = flags.attach;
  plan.errors = flags.attach;
  HULL_ASSIGN(plan.detach_keys, DetachKeys::Parse(flags.detach_keys));
  if (!plan.terminal) plan.detach_keys = {};
  const auto* phases = new PhaseLog(record.machine.debug);
  HULL_ASSIGN(Foreground * foreground, Foreground::Make(*containers, *phases, std::move(plan)));
  HULL_ASSIGN(RunDirectory run, LockForStart(*containers, record.id));
  RecordContainerEvent(containers->layout(), record, "attach");
  HULL_TRY(run.path.empty() ? foreground->Attach() : foreground->Launch(std::move(run)));
  return foreground->Run();
}

int StartInForeground(const std::vector<std::string>& names, const StartFlags& flags,
                      const GlobalOptions& global) {
  if (names.size() > 1) {
    PrintError(Error(ErrorCode::kInvalidArgument,
                     "you cannot start and attach multiple containers at once"));
    return kExitFailed;
  }
  Result<HostLayout> layout = FindHostLayout(global.root, global.state);
  // Lives until the process ends, as Foreground does.
  Result<int> exit_code =
      layout ? StartAttached(new Containers(std::move(*layout)), names.front(), flags)
             : Fail(std::move(layout).error());
  if (exit_code) return *exit_code;
  PrintError(exit_code.error());
  return kExitFailed;
}

Action DeclareStart(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<StartFlags>();
  app.add_flag("-a,--attach", flags->attach, "Show its output, and hand signals on to it");
  app.add_flag("-i,--interactive", flags->interactive, "Give it this standard input");
  app.add_option("--detach-keys", flags->detach_keys, "Keys that leave it running: ctrl-p,ctrl-q")
      ->type_name("KEYS");
  return [flags, &global](const std::vector<std::string>& names) {
    if (flags->attach || flags->interactive) return StartInForeground(names, *flags, global);
    return ForEachContainer(
        global, names,
        [](const Containers& containers, const std::string& name) -> Result<std::string> {
          HULL_ASSIGN(const ContainerRecord record, containers.Load(name));
          if (record.state.status == ContainerStatus::kPaused) {
            return Fail(ErrorCode::kUnavailable,
                        "cannot start a paused container, try unpause instead");
          }
          HULL_TRY(StartContainer(containers, record));
          return name;
        });
  };
}

}  // namespace

extern const Command kStart;
constinit const Command kStart = {
    .name = "start",
    .group = Group::kContainers,
    .aliases = "container start",
    .summary = "Start one or more containers that do not run",
    .arguments = "[OPTIONS] CONTAINER [CONTAINER...]",
    .exit_codes = kOrdinaryExitCodes,
    .offered = Offered::kNotRunning,
    .declare = DeclareStart,
};

}  // namespace hull::cli
