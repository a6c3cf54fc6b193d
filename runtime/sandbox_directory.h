// A sandbox's directories, and whose they are.
//
// The run directory (<run root>/<id>) holds sockets, logs and state.json and is locked (flock) by
// the sandbox's supervisor as long as it lives: the lock goes with the process, however it dies.
// Whoever gets the lock of somebody else's run directory has found a dead sandbox and may clear it
// away. The container directory (<store root>/containers/<id>) holds what needs a disk. It is made
// after the run directory and removed before it, so that a leftover always shows.
#pragma once

#include <string>
#include <string_view>

#include "runtime/container_state.h"
#include "runtime/host_layout.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

inline constexpr std::string_view kStateFile = "state.json";
inline constexpr std::string_view kContainerFile = "container.json";

class SandboxDirectory {
 public:
  // Makes and locks the run directory and makes the container directory.
  static Result<SandboxDirectory> Create(const HostLayout& layout, std::string_view id);

  SandboxDirectory(SandboxDirectory&&) = default;
  SandboxDirectory& operator=(SandboxDirectory&&) = default;
  // Closes, and so unlocks; removes nothing.
  ~SandboxDirectory() = default;

  // The run directory, open and locked.
  int run_fd() const { return run_fd_.get(); }
  const std::string& run_path() const { return run_path_; }
  const std::string& container_path() const { return container_path_; }
  // A path in the run directory for bind() and connect(), short however deep the directory is. Good
  // in this process while this object lives.
  std::string SocketPath(std::string_view name) const;

  Status WriteState(const OldContainerState& state) const;
  // container.json, for a container that is kept.
  Status WriteRecord(const OldContainerState& state) const;

  enum class Keep { kNothing, kContainer };
  Status Remove(Keep keep);

 private:
  SandboxDirectory(UniqueFd run_fd, std::string run_path, std::string container_path)
      : run_fd_(std::move(run_fd)),
        run_path_(std::move(run_path)),
        container_path_(std::move(container_path)) {}

  UniqueFd run_fd_;
  std::string run_path_;
  std::string container_path_;
};

// Clears away every sandbox whose supervisor is dead, `except` left alone: its hull-vmm is ended,
// its directories removed; a container that is to be kept is recorded as stopped. Returns how many.
Result<int> SweepDeadSandboxes(const HostLayout& layout, std::string_view except);

// Removes what a container that does not run has on disk. Not being there is success.
Status RemoveContainerDirectory(const HostLayout& layout, std::string_view id);

// Claims `name` for the container `id`: kAlreadyExists when a container that is still there has it.
Status ClaimName(const HostLayout& layout, std::string_view name, std::string_view id);
void ReleaseName(const HostLayout& layout, std::string_view name);

}  // namespace hull
