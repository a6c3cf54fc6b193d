// hull rm: removes containers.
#include <memory>
#include <vector>

#include "runtime/cli/command.h"
#include "runtime/cli/container_command.h"
#include "runtime/container_lock.h"

namespace hull::cli {
namespace {

constexpr int kForceAttempts = 5;

struct RmFlags {
  bool force = false;
  bool volumes = false;
};

// One whose record cannot be read: else nothing would ever rid the user of it.
Result<std::string> RemoveDamaged(const Containers& containers, const std::string& name) {
  HULL_ASSIGN(const std::string id, containers.Find(name));
  HULL_TRY(containers.Remove(id));
  return name;
}

Result<std::string> Remove(const Containers& containers, const std::string& name,
                           const RmFlags& flags) {
  Result<ContainerRecord> record = containers.Load(name);
  if (!record && flags.force && record.error().code() == ErrorCode::kNotFound) {
    // Docker says so, and takes it for done.
    PrintError(record.error());
    return "";
  }
  if (!record && record.error().code() == ErrorCode::kCorrupt) {
    if (flags.force) return RemoveDamaged(containers, name);
    return Fail(std::move(record).error().WithHint("hull rm -f removes it"));
  }
  if (!record) return Fail(std::move(record).error());
  const std::string id = record->id;
  if (IsRunning(*record) && flags.force)
    HULL_TRY(KillContainer(containers, *record, AfterKill::kRemoved));
  Status removed = containers.Remove(id);
  // Somebody may start it again and again; not for ever.
  for (int attempt = 0; attempt < kForceAttempts && !removed && flags.force; ++attempt) {
    if (removed.error().code() != ErrorCode::kUnavailable) break;
    record = containers.LoadId(id);
    if (record) HULL_TRY(KillContainer(containers, *record, AfterKill::kRemoved));
    removed = record ? containers.Remove(id) : Fail(record.error());
  }
  if (!removed && removed.error().code() == ErrorCode::kUnavailable && !flags.force) {
    const bool paused = record->state.status == ContainerStatus::kPaused;
    return Fail(
        Error(ErrorCode::kUnavailable,
              fmt::format("cannot remove container \"/{}\": container is {}: {}", record->name,
                          paused ? "paused" : "running",
                          paused ? "unpause and stop the container before removing or force "
                                   "remove"
                                 : "stop the container before removing or force remove")));
  }
  // Somebody else, or its own --rm, was faster.
  if (!removed && removed.error().code() == ErrorCode::kNotFound) removed = {};
  if (!removed) return Fail(std::move(removed).error());
  return name;
}

Action DeclareRm(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<RmFlags>();
  app.add_flag("-f,--force", flags->force, "Remove running containers, too: they are killed");
  app.add_flag("-v,--volumes", flags->volumes,
               "Remove anonymous volumes with the container (they always go with it)");
  return [flags, &global](const std::vector<std::string>& names) {
    return ForContainersAtOnce(global, names,
                               [&flags](const Containers& containers, const std::string& name) {
                                 return Remove(containers, name, *flags);
                               });
  };
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
