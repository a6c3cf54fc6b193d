// The containers of this host: found, listed, changed, made, removed. ARCHITECTURE.md, "Containers
// on the host", has the layout.
//
// There is no daemon: every process that looks goes to the files. What keeps them true:
//   - a run directory is locked (flock, exclusive) by its supervisor for as long as that lives, or
//     by whoever is about to become it. Whoever gets a shared lock on it has found a dead one, and
//     sweeps: ends what is left of the machine, records the end, removes the run directory;
//   - the container directory is locked (flock, on the directory itself) for the moment of a
//   change,
//     and a record is replaced by rename, so that readers need no lock;
//   - `names` is locked while a name is claimed, changed or released. A name counts only if the
//     record that it leads to has it, so that a half-done change is as good as none.
// Locks are taken in this order: run directory, container directory, names.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/container_record.h"
#include "runtime/host_layout.h"
#include "runtime/process_identity.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

// Who serves a running container: `state.json` in its run directory.
struct SandboxState {
  std::optional<ProcessIdentity> supervisor;
  std::optional<ProcessIdentity> vmm;
};
std::string WriteSandboxState(const SandboxState& state);
// kCorrupt: not such a document.
Result<SandboxState> ParseSandboxState(std::string_view text);

// A run directory that this process holds: made and locked. Closing it unlocks.
struct RunDirectory {
  std::string path;
  UniqueFd fd;
};

// What of the image store the records of all containers need.
struct ImagesInUse {
  std::set<std::string> image_ids;    // "sha256:..."
  std::set<std::string> layer_files;  // names in the store's directory of layers
};

class Containers {
 public:
  explicit Containers(HostLayout layout) : layout_(std::move(layout)) {}

  const HostLayout& layout() const { return layout_; }

  // --- Looking. All of it is the truth: the dead are swept first.

  // All containers, the newest first. A record that cannot be read is left out, with a warning.
  Result<std::vector<ContainerRecord>> List() const;
  // The id of a name, an id or the beginning of exactly one id, in docker's order. kNotFound ("No
  // such container: x"), kInvalidArgument (several begin so).
  Result<std::string> Find(std::string_view name_or_id) const;
  // Find, and its record.
  Result<ContainerRecord> Load(std::string_view name_or_id) const;
  // Of an id; kNotFound when there is none.
  Result<ContainerRecord> LoadId(const std::string& id) const;
  // Whom a running container has; empty when it does not run.
  SandboxState Sandbox(const std::string& id) const;
  // Without sweeping or locking; for images, which may not be removed from under a container.
  // A record that cannot be read makes it fail, because it may use anything.
  Result<ImagesInUse> InUse() const;

  // --- Changing.

  // Reads the record, has it changed and writes it, all under its lock. An error of `change` is
  // returned and nothing is written. kNotFound: it was removed meanwhile.
  Result<ContainerRecord> Change(const std::string& id,
                                 const std::function<Status(ContainerRecord&)>& change) const;
  // Makes a container: its directory, `record` and `oci_config` (config.json), and claims its name;
  // an empty name becomes one like "brave_turing". kAlreadyExists: the name is taken (docker's
  // words). Returns the record as it was written.
  Result<ContainerRecord> Create(ContainerRecord record, std::string_view oci_config) const;
  // kAlreadyExists, kInvalidArgument.
  Status Rename(const std::string& id, const std::string& new_name) const;
  // Removes a container that does not run, and all that is its. Waits a moment for one that is
  // about to have ended. kUnavailable: it runs. kNotFound: it is gone already.
  Status Remove(const std::string& id) const;

  // Sweeps all dead sandboxes and what was left half made or half removed, and nothing else.
  // Returns how many.
  int Sweep() const;

  // --- Running.

  // Makes and locks its run directory. kUnavailable: another process has it, that is, it runs, is
  // about to, or is about to have ended.
  Result<RunDirectory> LockRunDirectory(const std::string& id) const;
  // Waits until nobody has its run directory, at most `timeout_ms`; false when time is up.
  bool AwaitUnlocked(const std::string& id, int timeout_ms) const;
  // The same, but a container that has come to run is worth returning for, too.
  bool AwaitChange(const std::string& id, int timeout_ms) const;

  // A connection to `port` of a running container's guest (guest_socket.h), its path as short as it
  // must be. kUnavailable: it does not run.
  Result<UniqueFd> DialGuest(const std::string& id, uint32_t port, int timeout_ms) const;
  // A connection to its supervisor. kUnavailable: there is none.
  Result<UniqueFd> DialSupervisor(const std::string& id) const;

  // --- Places.

  std::string Directory(std::string_view id) const { return layout_.ContainerDirectory(id); }
  std::string RecordPath(std::string_view id) const { return Directory(id) + "/container.json"; }
  // While it starts: files of the host's for it (host_files.h).
  std::string HostFilesPath(std::string_view id) const {
    return Directory(id) + "/host-files.erofs";
  }
  std::string ConfigPath(std::string_view id) const { return Directory(id) + "/config.json"; }
  std::string ScratchPath(std::string_view id) const { return Directory(id) + "/scratch.img"; }
  // The file that is being written; container_log.h.
  std::string LogPath(std::string_view id) const { return Directory(id) + "/container.log"; }
  // The last words of a guest that died.
  std::string ConsolePath(std::string_view id) const { return Directory(id) + "/console.log"; }
  std::string RunDirectoryPath(std::string_view id) const { return layout_.RunDirectory(id); }
  std::string LayerPath(std::string_view layer_file) const;

 private:
  HostLayout layout_;
};

}  // namespace hull
