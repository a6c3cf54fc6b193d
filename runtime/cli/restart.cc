// hull restart: stops containers and starts them again.
#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/container_command.h"
#include "runtime/container_lock.h"
#include "runtime/events.h"

namespace hull::cli {
namespace {

Result<std::string> Restart(const Containers& containers, const std::string& name,
                            const StopFlags& flags) {
  HULL_ASSIGN(const ContainerRecord found, containers.Load(name));
  if (found.remove_at_exit && IsRunning(found)) {
    return Fail(Error(ErrorCode::kUnsupported,
                      fmt::format("container {} was made with --rm: it goes when it stops, and "
                                  "what it has written goes at once",
                                  found.id))
                    .WithHint("run it again, or make it without --rm"));
  }
  HULL_ASSIGN(const ContainerRecord record, StopContainer(containers, name, flags));
  HULL_TRY(StartContainer(containers, record));
  RecordContainerEvent(containers.layout(), record, "restart");
  return name;
}

Action DeclareRestart(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<StopFlags>();
  DeclareStopFlags(app, *flags);
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
