// hull kill: a signal to containers' first processes.
#include <signal.h>

#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/container_command.h"
#include "runtime/container_lock.h"
#include "runtime/signal_name.h"

namespace hull::cli {
namespace {

Result<std::string> Kill(const Containers& containers, const std::string& name,
                         const std::string& signal) {
  HULL_ASSIGN(const int number, ParseSignal(signal));
  HULL_ASSIGN(const ContainerRecord record, containers.Load(name));
  const auto not_running = [&] {
    return Fail(ErrorCode::kUnavailable, "cannot kill container: {}: container {} is not running",
                name, record.id);
  };
  if (!IsRunning(record)) return not_running();
  if (number == SIGKILL) {
    HULL_TRY(KillContainer(containers, record, AfterKill::kKept));
    return name;
  }
  Result<std::unique_ptr<RunningContainer>> running = RunningContainer::Find(containers, record);
  if (!running) return not_running();
  int stop = SIGTERM;
  if (!record.process.stop_signal.empty()) {
    stop = ParseSignal(record.process.stop_signal).value_or(SIGTERM);
  }
  HULL_TRY((*running)->Signal(number, number == stop));
  return name;
}

Action DeclareKill(CLI::App& app, const GlobalOptions& global) {
  const auto signal = std::make_shared<std::string>("SIGKILL");
  app.add_option("-s,--signal", *signal, "Signal to send (SIGKILL)")->type_name("SIGNAL");
  return [signal, &global](const std::vector<std::string>& names) {
    return ForContainersAtOnce(global, names,
                               [&signal](const Containers& containers, const std::string& name) {
                                 return Kill(containers, name, *signal);
                               });
  };
}

}  // namespace

extern const Command kKill;
constinit const Command kKill = {
    .name = "kill",
    .group = Group::kContainers,
    .aliases = "container kill",
    .summary = "Send a signal to one or more running containers",
    .arguments = "[OPTIONS] CONTAINER [CONTAINER...]",
    .offered = Offered::kRunning,
    .declare = DeclareKill,
};

}  // namespace hull::cli
