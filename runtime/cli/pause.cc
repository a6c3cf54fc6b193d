// hull pause: stops the clocks of containers.
#include "runtime/cli/command.h"
#include "runtime/cli/container_command.h"
#include "runtime/container_lock.h"

namespace hull::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLimit{60'000};

Result<std::string> Act(const Containers& containers, const std::string& name) {
  HULL_ASSIGN(const ContainerRecord record, containers.Load(name));
  if (!IsRunning(record)) {
    return Fail(ErrorCode::kUnavailable, "Container {} is not running", record.id);
  }
  HULL_ASSIGN(const std::unique_ptr<RunningContainer> running,
              RunningContainer::Find(containers, record));
  HULL_TRY(running->supervisor().CallAndWait({{"method", "pause"}}, kLimit));
  return name;
}

Action DeclarePause(CLI::App&, const GlobalOptions& global) {
  return [&global](const std::vector<std::string>& names) {
    return ForEachContainer(global, names, Act);
  };
}

}  // namespace

extern const Command kPause;
constinit const Command kPause = {
    .name = "pause",
    .group = Group::kContainers,
    .aliases = "container pause",
    .summary = "Pause all processes of one or more containers",
    .arguments = "CONTAINER [CONTAINER...]",
    .offered = Offered::kRunning,
    .declare = DeclarePause,
};

}  // namespace hull::cli
