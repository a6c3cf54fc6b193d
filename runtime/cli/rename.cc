// hull rename: another name for a container.
#include "runtime/cli/command.h"
#include "runtime/cli/container_command.h"
#include "runtime/container_id.h"
#include "runtime/events.h"

namespace hull::cli {
namespace {

Result<std::string> Rename(const Containers& containers, const std::string& old_name,
                           std::string_view wanted) {
  const std::string new_name(WithoutSlash(wanted));
  HULL_ASSIGN(ContainerRecord record, containers.Load(old_name));
  HULL_TRY_WITHIN("rename " + old_name, containers.Rename(record.id, new_name));
  const std::string before = std::exchange(record.name, new_name);
  RecordContainerEvent(containers.layout(), record, "rename", {{"oldName", "/" + before}});
  return "";
}

Action DeclareRename(CLI::App&, const GlobalOptions& global) {
  return [&global](const std::vector<std::string>& names) {
    return ForEachContainer(global, {names[0]},
                            [&names](const Containers& containers, const std::string& name) {
                              return Rename(containers, name, names[1]);
                            });
  };
}

}  // namespace

extern const Command kRename;
constinit const Command kRename = {
    .name = "rename",
    .group = Group::kContainers,
    .aliases = "container rename",
    .summary = "Rename a container",
    .arguments = "CONTAINER NEW_NAME",
    .declare = DeclareRename,
};

}  // namespace hull::cli
