// hull create: a container that is there and not started.
#include <stdlib.h>
#include <unistd.h>

#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/new_container.h"
#include "runtime/cli/run_options.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

Result<std::string> Create(const RunFlags& flags, const std::vector<std::string>& rest,
                           const GlobalOptions& global) {
  HULL_ASSIGN(
      const RunRequest request,
      InterpretRunFlags(flags, rest, [](const char* name) -> const char* { return getenv(name); }));
  HULL_ASSIGN(HostLayout layout, FindHostLayout(global.root, global.state));
  const Containers containers(std::move(layout));
  containers.Sweep();
  HULL_ASSIGN(const ContainerRecord record, CreateContainer(containers, request));
  return record.id;
}

Action DeclareCreate(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<RunFlags>();
  DeclareRunFlags(app, *flags, RunVerb::kCreate, global.arguments);
  return [flags, &global](const std::vector<std::string>& rest) {
    const Result<std::string> id = Create(*flags, rest, global);
    if (!id) {
      PrintError(id.error());
      return kExitFailed;
    }
    return WriteAll(STDOUT_FILENO, *id + "\n") ? 0 : kExitFailed;
  };
}

}  // namespace

extern const Command kCreate;
constinit const Command kCreate = {
    .name = "create",
    .group = Group::kContainers,
    .aliases = "container create",
    .summary = "Create a container without starting it",
    .arguments = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    .passes_rest = true,
    .declare = DeclareCreate,
};

}  // namespace hull::cli
