// hull pause: stops the clocks of containers.
#include "runtime/cli/command.h"
#include "runtime/cli/container_command.h"

namespace hull::cli {
namespace {

Result<std::string> Act(const Containers& containers, const std::string& name) {
  HULL_TRY(AskSupervisor(containers, name, "pause"));
  return name;
}

Action DeclarePause(CLI::App&, const GlobalOptions& global) {
  return [&global](const std::vector<std::string>& names) {
    return ForContainersAtOnce(global, names, Act);
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
