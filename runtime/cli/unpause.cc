// hull unpause: lets paused containers go on.
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
  HULL_TRY(running->supervisor().CallAndWait({{"method", "resume"}}, kLimit));
  return name;
}

Action DeclareUnpause(CLI::App&, const GlobalOptions& global) {
  return [&global](const std::vector<std::string>& names) {
    return ForEachContainer(global, names, Act);
  };
}

}  // namespace

extern const Command kUnpause;
constinit const Command kUnpause = {
    .name = "unpause",
    .group = Group::kContainers,
    .aliases = "container unpause",
    .summary = "Let one or more paused containers go on",
    .arguments = "CONTAINER [CONTAINER...]",
    .offered = Offered::kPaused,
    .declare = DeclareUnpause,
};

}  // namespace hull::cli
