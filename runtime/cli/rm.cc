// hull rm: forget containers that have stopped.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "runtime/cli/command.h"
#include "runtime/stopped_containers.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

int Remove(const std::vector<std::string>& names, const GlobalOptions& global) {
  Result<HostLayout> layout = FindHostLayout(global.root, global.state);
  if (!layout) {
    PrintError(layout.error());
    return kExitFailed;
  }
  if (const Result<int> swept = SweepDeadSandboxes(*layout, ""); !swept) PrintError(swept.error());
  int exit_code = 0;
  for (const std::string& name : names) {
    if (const Status status = RemoveStoppedContainer(*layout, name); status) {
      static_cast<void>(WriteAll(STDOUT_FILENO, name + "\n"));
    } else {
      PrintError(status.error());
      exit_code = kExitFailed;
    }
  }
  return exit_code;
}

Action DeclareRm(CLI::App& app, const GlobalOptions& global) {
  const auto names = std::make_shared<std::vector<std::string>>();
  app.add_option("CONTAINER", *names, "Name, id, or a beginning of an id that is no other's")
      ->required();
  return [names, &global](const std::vector<std::string>&) { return Remove(*names, global); };
}

}  // namespace

extern const Command kRm;
constinit const Command kRm = {
    .name = "rm",
    .group = Group::kContainers,
    .aliases = "container rm, container remove",
    .summary = "Remove one or more containers",
    .arguments = "[OPTIONS] CONTAINER [CONTAINER...]",
    .declare = DeclareRm,
};

}  // namespace hull::cli
