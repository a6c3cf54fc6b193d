// hull unpause: lets paused containers go on.
#include "runtime/cli/command.h"
#include "runtime/cli/container_command.h"

namespace hull::cli {
namespace {

Result<std::string> Act(const Containers& containers, const std::string& name) {
  HULL_TRY(AskSupervisor(containers, name, "resume"));
  return name;
}

Action DeclareUnpause(CLI::App&, const GlobalOptions& global) {
  return [&global](const std::vector<std::string>& names) {
    return ForContainersAtOnce(global, names, Act);
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
