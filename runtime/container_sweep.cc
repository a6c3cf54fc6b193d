#include "runtime/container_sweep.h"

#include <sys/file.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "runtime/container_id.h"
#include "runtime/container_lock.h"
#include "runtime/directory_files.h"
#include "runtime/events.h"
#include "vmm/base/log.h"

namespace hull {
namespace {

constexpr int kKillTimeoutMs = 10'000;

Status RemoveLocked(const Containers& containers, const ContainerLock& lock,
                    const std::string& id) {
  const Result<ContainerRecord> record = ReadRecord(containers.RecordPath(id));
  HULL_TRY(lock.RemoveDirectory());
  if (!record) return {};
  HULL_ASSIGN(const NamesLock names, NamesLock::Take(containers));
  names.Release(record->name, id);
  RecordContainerEvent(containers.layout(), *record, "destroy");
  return {};
}

// The record of a container that nobody runs made true. `started`: it has, or had, a run directory.
Status Settle(const Containers& containers, const std::string& id, bool started) {
  const Result<ContainerLock> lock = ContainerLock::Take(containers, id);
  if (!lock && lock.error().code() == ErrorCode::kNotFound) return {};
  if (!lock) return Fail(lock.error());
  // Somebody may have started it again, or swept it, while we waited.
  if (IsLocked(containers.RunDirectoryPath(id))) return {};
  // Of a start that was killed.
  unlink(containers.HostFilesPath(id).c_str());
  Result<ContainerRecord> record = ReadRecord(containers.RecordPath(id));
  if (!record && HasRecord(containers, id)) return Fail(record.error());
  if (!record) return lock->RemoveDirectory();
  const bool running = IsRunning(*record);
  if (running) {
    record->state.status = ContainerStatus::kExited;
    record->state.exit_code = kExitSwept;
    record->state.finished_at_ns = NowNs();
    record->state.error = "its supervisor died";
    RecordContainerEvent(containers.layout(), *record, "die",
                         {{"exitCode", std::to_string(kExitSwept)}});
  }
  if (record->remove_at_exit && (running || started)) return RemoveLocked(containers, *lock, id);
  return running ? lock->WriteRecord(*record) : Status();
}

// `run_fd` is its run directory, with a shared lock.
Status SweepRunDirectory(const Containers& containers, const std::string& id, int run_fd) {
  const std::string path = containers.RunDirectoryPath(id);
  if (!IsStill(path, run_fd)) return {};
  // Dies with its supervisor; but who is sure of that in a hurry?
  if (const SandboxState state = ReadSandboxState(path); state.vmm) {
    HULL_TRY(KillAndWait(*state.vmm, kKillTimeoutMs));
  }
  HULL_TRY(Settle(containers, id, true));
  // Another sweep may have been faster, and a new life have begun in a directory of this name.
  HULL_ASSIGN(const UniqueFd root, LockRunRoot(containers.layout()));
  return IsStill(path, run_fd) ? RemoveFlatDirectory(path) : Status();
}

using DeadRunDirectories = std::vector<std::pair<std::string, UniqueFd>>;

// Each with a shared lock. Whoever makes a run directory locks it before the root is unlocked, so
// none that has just been made is among them.
Status FindDead(const Containers& containers, DeadRunDirectories& dead,
                std::set<std::string>& live) {
  const HostLayout& layout = containers.layout();
  if (access(layout.run_root.c_str(), F_OK) != 0) return {};
  HULL_ASSIGN(const UniqueFd root, LockRunRoot(layout));
  HULL_TRY(ForEachName(layout.run_root, [&](std::string_view name) {
    std::string id(name);
    if (!IsContainerId(id)) return;
    Result<UniqueFd> run = OpenDirectory(containers.RunDirectoryPath(id));
    if (!run) return;
    if (flock(run->get(), LOCK_SH | LOCK_NB) != 0) {
      live.insert(std::move(id));
    } else {
      dead.emplace_back(std::move(id), std::move(*run));
    }
  }));
  return {};
}

// A directory without a record: being made, or left by somebody who was killed making it.
bool SweepHalfMade(const Containers& containers, const std::string& id) {
  const Result<ContainerLock> lock = ContainerLock::TryTake(containers, id);
  if (!lock || HasRecord(containers, id)) return false;
  return lock->RemoveDirectory().has_value();
}

}  // namespace

Status RemoveContainer(const Containers& containers, const std::string& id) {
  HULL_ASSIGN(const ContainerLock lock, ContainerLock::Take(containers, id));
  return RemoveLocked(containers, lock, id);
}

Status SweepDead(const Containers& containers, const std::string& id) {
  HULL_ASSIGN(UniqueFd root, LockRunRoot(containers.layout()));
  const Result<UniqueFd> run = OpenDirectory(containers.RunDirectoryPath(id));
  if (run && flock(run->get(), LOCK_SH | LOCK_NB) != 0) return {};
  root.Reset();
  return run ? SweepRunDirectory(containers, id, run->get()) : Settle(containers, id, false);
}

SweepResult SweepDeadSandboxes(const Containers& containers) {
  SweepResult result;
  const HostLayout& layout = containers.layout();
  const auto warn = [](std::string_view what, const Status& status) {
    if (!status) log::Warn("cannot clear away {}: {}", what, status.error().ToString());
  };
  DeadRunDirectories dead;
  warn(layout.run_root, FindDead(containers, dead, result.live));
  for (const auto& [id, fd] : dead) {
    const Status swept = SweepRunDirectory(containers, id, fd.get());
    warn(id, swept);
    if (swept) ++result.swept;
  }
  const std::string directory = layout.ContainersDirectory();
  warn(directory, ForEachName(directory, [&](std::string_view name) {
         const std::string entry(name);
         if (entry.starts_with(kRemovedPrefix)) {
           warn(entry, RemoveFlatDirectory(fmt::format("{}/{}", directory, entry)));
           ++result.swept;
         } else if (IsContainerId(entry) && !result.live.contains(entry) &&
                    !HasRecord(containers, entry)) {
           if (SweepHalfMade(containers, entry)) ++result.swept;
         }
       }));
  return result;
}

}  // namespace hull
