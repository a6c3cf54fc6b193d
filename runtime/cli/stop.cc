// hull stop: ends containers as they wish to be ended.
#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/container_command.h"

namespace hull::cli {
namespace {

Result<std::string> Stop(const Containers& containers, const std::string& name,
                         const StopFlags& flags) {
  HULL_TRY(StopContainer(containers, name, flags));
  return name;
}

Action DeclareStop(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<StopFlags>();
  DeclareStopFlags(app, *flags);
  return [flags, &global](const std::vector<std::string>& names) {
    return ForContainersAtOnce(global, names,
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
