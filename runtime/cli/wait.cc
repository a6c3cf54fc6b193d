// hull wait: until containers have ended; prints their exit codes.
#include "runtime/cli/command.h"
#include "runtime/cli/container_command.h"
#include "runtime/container_lock.h"

namespace hull::cli {
namespace {

constexpr int kExitSupervisorDied = 137;

Result<std::string> Wait(const Containers& containers, const std::string& name) {
  HULL_ASSIGN(ContainerRecord record, containers.Load(name));
  if (!IsRunning(record)) return std::to_string(record.state.exit_code.value_or(0));
  Result<std::unique_ptr<RunningContainer>> running = RunningContainer::Find(containers, record);
  std::optional<ContainerEnd> end;
  if (running) {
    (*running)->AwaitEnd(std::nullopt);
    end = (*running)->supervisor().end();
  }
  // With --rm nothing but this answer is left of it.
  if (end) return std::to_string(end->exit_code);
  const Result<ContainerRecord> now = containers.LoadId(record.id);
  return std::to_string(now ? now->state.exit_code.value_or(0) : kExitSupervisorDied);
}

Action DeclareWait(CLI::App&, const GlobalOptions& global) {
  return [&global](const std::vector<std::string>& names) {
    return ForEachContainer(global, names, Wait);
  };
}

}  // namespace

extern const Command kWait;
constinit const Command kWait = {
    .name = "wait",
    .group = Group::kContainers,
    .aliases = "container wait",
    .summary = "Wait until one or more containers have ended, and print their exit codes",
    .arguments = "CONTAINER [CONTAINER...]",
    .offered = Offered::kRunning,
    .declare = DeclareWait,
};

}  // namespace hull::cli
