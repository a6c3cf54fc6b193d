// The locks that keep containers' files true (containers.h), and the files themselves. Used by
// Containers alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/containers.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

// kNotFound, kCorrupt, kUnsupported.
Result<ContainerRecord> ReadRecord(const std::string& path);
// Empty when there is none that can be read.
SandboxState ReadSandboxState(const std::string& run_directory);

// Running or paused.
bool IsRunning(const ContainerRecord& record);

// Somebody has the run directory: a supervisor that lives, or one that is about to.
bool IsLocked(const std::string& run_directory);

// Holds the directory of run directories: for the moment in which one is made and locked, or a dead
// one is removed. While it is held no other lock is waited for.
Result<UniqueFd> LockRunRoot(const HostLayout& layout);

// What a power cut may do to a file that is replaced: nothing, for its content is on the disk
// before it has its name; or anything, which is enough for a container that would not outlive it
// (--rm).
enum class Durability { kNone, kOnDisk };
Durability DurabilityOf(const ContainerRecord& record);

// Holds a container's directory. Waits for it: others hold it for moments.
class ContainerLock {
 public:
  // kNotFound: there is no such container.
  static Result<ContainerLock> Take(const Containers& containers, const std::string& id);
  // Makes the directory too.
  static Result<ContainerLock> MakeDirectory(const Containers& containers, const std::string& id);
  // Only if nobody has it, for a sweep; kUnavailable otherwise.
  static Result<ContainerLock> TryTake(const Containers& containers, const std::string& id);

  Status WriteFile(std::string_view name, std::string_view text, Durability durability) const;
  // On a full disk into the space that was set aside.
  Status WriteRecord(const ContainerRecord& record) const;
  // Sets space aside for a further record, so that the end of a container that runs now can be
  // written in any case; or does not, if there is none any more.
  void SetSpaceAside() const;
  void GiveSpaceBack() const;
  // Gone at once for everybody, then file by file.
  Status RemoveDirectory() const;

 private:
  ContainerLock(std::string path, std::string removed_path, UniqueFd fd)
      : path_(std::move(path)), removed_path_(std::move(removed_path)), fd_(std::move(fd)) {}

  static Result<ContainerLock> Lock(const Containers& containers, const std::string& id, int how);
  bool WriteIntoSpare(std::string_view text) const;

  std::string path_;
  std::string removed_path_;
  UniqueFd fd_;
};

// What a directory that is being removed is called until it is gone.
inline constexpr std::string_view kRemovedPrefix = ".removed-";

// Whether a container has a record: an empty file is what a power cut leaves of one that was not on
// the disk yet.
bool HasRecord(const Containers& containers, const std::string& id);

// Holds all names.
class NamesLock {
 public:
  static Result<NamesLock> Take(const Containers& containers);

  // kAlreadyExists, with docker's words.
  Status Claim(const std::string& name, const std::string& id) const;
  // If it still is that container's.
  void Release(const std::string& name, const std::string& id) const;
  // Removes names that lead nowhere. Returns how many.
  int RemoveStale() const;

 private:
  NamesLock(const Containers& containers, std::string directory, UniqueFd fd)
      : containers_(containers), directory_(std::move(directory)), fd_(std::move(fd)) {}

  const Containers& containers_;
  std::string directory_;
  UniqueFd fd_;
};

// The container that has this name now.
std::optional<std::string> HolderOfName(const Containers& containers, std::string_view name);

}  // namespace hull
