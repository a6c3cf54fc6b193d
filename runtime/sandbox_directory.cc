#include "runtime/sandbox_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>

#include "runtime/container_id.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace hull {
namespace {

constexpr mode_t kPrivate = 0700;
constexpr uint64_t kMaxStateBytes = 1ULL << 20;
constexpr int kKillTimeoutMs = 10'000;
constexpr int kCreateAttempts = 16;

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

// Makes `path`; its parents only when they are missing.
Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), kPrivate) == 0) return {};
  if (errno != ENOENT) return FailErrno("make {}", path);
  HULL_TRY(MakeDirectories(path.substr(0, path.rfind('/')), kPrivate));
  if (mkdir(path.c_str(), kPrivate) != 0) return FailErrno("make {}", path);
  return {};
}

// Removes a directory that has only files in it. Not being there is success.
Status RemoveFlatDirectory(const std::string& path) {
  const Directory directory(opendir(path.c_str()));
  if (!directory) {
    if (errno == ENOENT) return {};
    return FailErrno("open {}", path);
  }
  while (const dirent* entry = readdir(directory.get())) {
    const std::string_view name(entry->d_name);
    if (name == "." || name == "..") continue;
    if (unlinkat(dirfd(directory.get()), entry->d_name, 0) != 0 && errno != ENOENT) {
      return FailErrno("remove {}/{}", path, name);
    }
  }
  if (rmdir(path.c_str()) != 0 && errno != ENOENT) return FailErrno("remove {}", path);
  return {};
}

enum class LockOutcome { kLocked, kBusy, kGone };

// Locks a run directory without waiting. kGone: another process removed it meanwhile.
LockOutcome Lock(int fd) {
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) return LockOutcome::kBusy;
  struct stat status {};
  if (fstat(fd, &status) != 0 || status.st_nlink == 0) return LockOutcome::kGone;
  return LockOutcome::kLocked;
}

std::optional<OldContainerState> ReadState(const std::string& path) {
  Result<std::string> text = ReadFile(path, kMaxStateBytes);
  if (!text) return std::nullopt;
  Result<OldContainerState> state = ParseOldContainerState(*text);
  if (!state) return std::nullopt;
  return std::move(*state);
}

// The run directory is locked by us: nobody else touches this sandbox.
Status ClearDeadSandbox(const HostLayout& layout, std::string_view id) {
  const std::string run_path = layout.RunDirectory(id);
  std::optional<OldContainerState> state = ReadState(fmt::format("{}/{}", run_path, kStateFile));
  if (state && state->vmm) HULL_TRY(KillAndWait(*state->vmm, kKillTimeoutMs));
  const std::string container_path = layout.ContainerDirectory(id);
  const std::string record_path = fmt::format("{}/{}", container_path, kContainerFile);
  const bool recorded = access(record_path.c_str(), F_OK) == 0;
  if (state && !state->remove_at_exit && access(container_path.c_str(), F_OK) == 0) {
    state->status = OldContainerStatus::kStopped;
    state->vmm.reset();
    state->supervisor.reset();
    HULL_TRY(WriteFileAtomically(record_path, WriteOldContainerState(*state), 0600));
  } else if (state || !recorded) {
    // Without a state nothing was ever started in it; with a record it is a container to keep.
    HULL_TRY(RemoveFlatDirectory(container_path));
    if (state) ReleaseName(layout, state->name);
  }
  return RemoveFlatDirectory(run_path);
}

// Calls `visit` with the open directory and each entry that is a container's id. No directory, no
// calls.
Status ForEachId(const std::string& path,
                 const std::function<void(int directory, const std::string& id)>& visit) {
  const Directory directory(opendir(path.c_str()));
  if (!directory) {
    if (errno == ENOENT) return {};
    return FailErrno("open {}", path);
  }
  while (const dirent* entry = readdir(directory.get())) {
    const std::string id(entry->d_name);
    if (IsContainerId(id)) visit(dirfd(directory.get()), id);
  }
  return {};
}

}  // namespace

Result<SandboxDirectory> SandboxDirectory::Create(const HostLayout& layout, std::string_view id) {
  std::string run_path = layout.RunDirectory(id);
  // A sweep may see the directory between its making and its locking, take it for dead and remove
  // it.
  for (int attempt = 0; attempt < kCreateAttempts; ++attempt) {
    HULL_TRY(MakeDirectory(run_path));
    UniqueFd run_fd(open(run_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!run_fd.valid() && errno != ENOENT) return FailErrno("open {}", run_path);
    if (!run_fd.valid() || Lock(run_fd.get()) != LockOutcome::kLocked) {
      rmdir(run_path.c_str());
      continue;
    }
    std::string container_path = layout.ContainerDirectory(id);
    HULL_TRY(MakeDirectory(container_path));
    return SandboxDirectory(std::move(run_fd), std::move(run_path), std::move(container_path));
  }
  return Fail(ErrorCode::kFailed, "cannot keep {}: something removes it", run_path);
}

std::string SandboxDirectory::SocketPath(std::string_view name) const {
  return fmt::format("/proc/self/fd/{}/{}", run_fd_.get(), name);
}

Status SandboxDirectory::WriteState(const OldContainerState& state) const {
  return WriteFileAtomically(fmt::format("{}/{}", run_path_, kStateFile),
                             WriteOldContainerState(state), 0600);
}

Status SandboxDirectory::WriteRecord(const OldContainerState& state) const {
  return WriteFileAtomically(fmt::format("{}/{}", container_path_, kContainerFile),
                             WriteOldContainerState(state), 0600);
}

Status SandboxDirectory::Remove(Keep keep) {
  if (keep == Keep::kNothing) HULL_TRY(RemoveFlatDirectory(container_path_));
  return RemoveFlatDirectory(run_path_);
}

Result<int> SweepDeadSandboxes(const HostLayout& layout, std::string_view except) {
  int cleared = 0;
  const auto count = [&cleared](std::string_view id, const Status& status) {
    if (status) {
      ++cleared;
    } else {
      log::Warn("cannot clear away the dead sandbox {}: {}", id, status.error().ToString());
    }
  };
  HULL_TRY(ForEachId(layout.run_root, [&](int directory, const std::string& id) {
    if (id == except) return;
    const UniqueFd fd(
        openat(directory, id.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid() || Lock(fd.get()) != LockOutcome::kLocked) return;
    count(id, ClearDeadSandbox(layout, id));
  }));
  HULL_TRY(ForEachId(layout.ContainersDirectory(), [&](int directory, const std::string& id) {
    // With a record it is kept. Its run directory is made first and removed last: without one it is
    // dead.
    if (faccessat(directory, fmt::format("{}/{}", id, kContainerFile).c_str(), F_OK, 0) == 0)
      return;
    if (access(layout.RunDirectory(id).c_str(), F_OK) == 0) return;
    count(id, RemoveFlatDirectory(layout.ContainerDirectory(id)));
  }));
  return cleared;
}

Status RemoveContainerDirectory(const HostLayout& layout, std::string_view id) {
  return RemoveFlatDirectory(layout.ContainerDirectory(id));
}

Status ClaimName(const HostLayout& layout, std::string_view name, std::string_view id) {
  const std::string directory = layout.store_root + "/names";
  const std::string link = fmt::format("{}/{}", directory, name);
  const std::string target(id);
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (symlink(target.c_str(), link.c_str()) == 0) return {};
    if (errno == ENOENT) {
      HULL_TRY(MakeDirectories(directory, kPrivate));
      continue;
    }
    if (errno != EEXIST) return FailErrno("claim the name {}", name);
    std::array<char, PATH_MAX> holder{};
    const ssize_t length = readlink(link.c_str(), holder.data(), holder.size());
    if (length < 0) continue;
    const std::string holder_id(holder.data(), static_cast<size_t>(length));
    struct stat status {};
    const bool there = stat(layout.RunDirectory(holder_id).c_str(), &status) == 0 ||
                       stat(layout.ContainerDirectory(holder_id).c_str(), &status) == 0;
    if (there) {
      return Fail(
          Error(ErrorCode::kAlreadyExists,
                fmt::format("Conflict. The container name \"/{}\" is already in use by container "
                            "\"{}\"",
                            name, holder_id))
              .WithHint("choose another --name, or remove that container"));
    }
    unlink(link.c_str());
  }
  return Fail(ErrorCode::kFailed, "cannot claim the name {}", name);
}

void ReleaseName(const HostLayout& layout, std::string_view name) {
  unlink(fmt::format("{}/names/{}", layout.store_root, name).c_str());
}

}  // namespace hull
