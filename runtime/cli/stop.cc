// hull stop: ends containers as they wish to be ended.
#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/container_command.h"
#include "runtime/signal_name.h"

namespace hull::cli {
namespace {

struct StopFlags {
  std::optional<int64_t> timeout_s;
  std::string signal;
};

Result<std::string> Stop(const Containers& containers, const std::string& name,
                         const StopFlags& flags) {
  std::optional<int> signal;
  if (!flags.signal.empty()) {
    HULL_ASSIGN(signal, ParseSignal(flags.signal));
  }
  HULL_ASSIGN(const ContainerRecord record, containers.Load(name));
  HULL_TRY(StopContainer(containers, record, flags.timeout_s, signal));
  return name;
}

Action DeclareStop(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<StopFlags>();
  app.add_option("-t,--time,--timeout", flags->timeout_s,
                 "Seconds until it is killed (its own, or 10); -1: never")
      ->type_name("SECONDS");
  app.add_option("-s,--signal", flags->signal, "Signal to send (its own, or SIGTERM)")
      ->type_name("SIGNAL");
  return [flags, &global](const std::vector<std::string>& names) {
    return ForEachContainer(global, names,
                            [&flags](const Containers& containers, const std::string& name) {
                              return Stop(containers, name, *flags);
                            });
  };
}

}  // namespace

extern const Command kStop;
constinit const Command kStop = {
    .name = "stop",
    .group = Group::kContainers,
    .aliases = "container stop",
    .summary = "Stop one or more running containers",
    .arguments = "[OPTIONS] CONTAINER [CONTAINER...]",
    .offered = Offered::kRunning,
    .declare = DeclareStop,
};

}  // namespace hull::cli
