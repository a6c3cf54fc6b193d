// hull restart: stops containers and starts them again.
#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/container_command.h"
#include "runtime/events.h"
#include "runtime/signal_name.h"

namespace hull::cli {
namespace {

struct RestartFlags {
  std::optional<int64_t> timeout_s;
  std::string signal;
};

Result<std::string> Restart(const Containers& containers, const std::string& name,
                            const RestartFlags& flags) {
  std::optional<int> signal;
  if (!flags.signal.empty()) {
    HULL_ASSIGN(signal, ParseSignal(flags.signal));
  }
  HULL_ASSIGN(const ContainerRecord record, containers.Load(name));
  HULL_TRY(StopContainer(containers, record, flags.timeout_s, signal));
  HULL_TRY(StartContainer(containers, record));
  RecordContainerEvent(containers.layout(), record, "restart");
  return name;
}

Action DeclareRestart(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<RestartFlags>();
  app.add_option("-t,--time,--timeout", flags->timeout_s,
                 "Seconds until it is killed (its own, or 10); -1: never")
      ->type_name("SECONDS");
  app.add_option("-s,--signal", flags->signal, "Signal to send (its own, or SIGTERM)")
      ->type_name("SIGNAL");
  return [flags, &global](const std::vector<std::string>& names) {
    return ForEachContainer(global, names,
                            [&flags](const Containers& containers, const std::string& name) {
                              return Restart(containers, name, *flags);
                            });
  };
}

}  // namespace

extern const Command kRestart;
constinit const Command kRestart = {
    .name = "restart",
    .group = Group::kContainers,
    .aliases = "container restart",
    .summary = "Stop one or more containers and start them again",
    .arguments = "[OPTIONS] CONTAINER [CONTAINER...]",
    .declare = DeclareRestart,
};

}  // namespace hull::cli
