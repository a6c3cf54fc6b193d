#include "runtime/containers.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <tuple>

#include "runtime/container_id.h"
#include "runtime/container_lock.h"
#include "runtime/container_name.h"
#include "runtime/container_sweep.h"
#include "runtime/directory_files.h"
#include "runtime/guest_socket.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace hull {
namespace {

constexpr int kRemoveWaitMs = 60'000;
constexpr int kPollMs = 5;
constexpr int kLockAttempts = 200;
constexpr int kNameAttempts = 8;

Error NoSuch(std::string_view name_or_id) {
  return MakeError(ErrorCode::kNotFound, "No such container: {}", name_or_id);
}

bool IsHexadecimal(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// A path in an open directory, short enough for a socket however deep the directory is.
std::string PathIn(int directory_fd, std::string_view name) {
  return fmt::format("/proc/self/fd/{}/{}", directory_fd, name);
}

}  // namespace

std::string Containers::LayerPath(std::string_view layer_file) const {
  return fmt::format("{}/images/layers/{}", layout_.store_root, layer_file);
}

Result<std::vector<ContainerRecord>> Containers::List() const {
  const std::set<std::string> live = SweepDeadSandboxes(*this).live;
  std::vector<std::string> ids;
  HULL_TRY(ForEachName(layout_.ContainersDirectory(), [&ids](std::string_view name) {
    if (IsContainerId(name)) ids.emplace_back(name);
  }));
  std::vector<ContainerRecord> records;
  records.reserve(ids.size());
  for (const std::string& id : ids) {
    Result<ContainerRecord> record = ReadRecord(RecordPath(id));
    if (record && IsRunning(*record) && !live.contains(id)) record = LoadId(id);
    if (record) {
      records.push_back(std::move(*record));
    } else if (record.error().code() != ErrorCode::kNotFound) {
      log::Warn("container {}: {}", id, record.error().ToString());
    }
  }
  std::sort(records.begin(), records.end(), [](const auto& a, const auto& b) {
    return std::tie(a.created_at_ns, a.id) > std::tie(b.created_at_ns, b.id);
  });
  return records;
}

Result<std::string> Containers::Find(std::string_view name_or_id) const {
  SweepDeadSandboxes(*this);
  const std::string_view wanted = WithoutSlash(name_or_id);
  const auto is_there = [this](const std::string& id) { return HasRecord(*this, id); };
  if (IsContainerId(wanted) && is_there(std::string(wanted))) return std::string(wanted);
  if (std::optional<std::string> id = HolderOfName(*this, wanted)) return *id;
  std::string found;
  bool several = false;
  if (!wanted.empty() && IsHexadecimal(wanted)) {
    HULL_TRY(ForEachName(layout_.ContainersDirectory(), [&](std::string_view name) {
      const std::string id(name);
      if (!IsContainerId(id) || !id.starts_with(wanted) || !is_there(id)) return;
      several = several || !found.empty();
      found = id;
    }));
  }
  if (several) {
    return Fail(ErrorCode::kInvalidArgument, "multiple IDs found with provided prefix: {}", wanted);
  }
  if (found.empty()) return Fail(NoSuch(name_or_id));
  return found;
}

Result<ContainerRecord> Containers::Load(std::string_view name_or_id) const {
  HULL_ASSIGN(const std::string id, Find(name_or_id));
  return LoadId(id);
}

Result<ContainerRecord> Containers::LoadId(const std::string& id) const {
  Result<ContainerRecord> record = ReadRecord(RecordPath(id));
  if (record && IsRunning(*record) && !IsLocked(RunDirectoryPath(id))) {
    HULL_TRY(SweepDead(*this, id));
    record = ReadRecord(RecordPath(id));
  }
  if (!record && record.error().code() == ErrorCode::kNotFound) return Fail(NoSuch(id));
  return record;
}

SandboxState Containers::Sandbox(const std::string& id) const {
  return ReadSandboxState(RunDirectoryPath(id));
}

Result<ImagesInUse> Containers::InUse() const {
  ImagesInUse in_use;
  std::vector<std::string> ids;
  HULL_TRY(ForEachName(layout_.ContainersDirectory(), [&ids](std::string_view name) {
    if (IsContainerId(name)) ids.emplace_back(name);
  }));
  for (const std::string& id : ids) {
    const Result<ContainerRecord> record = ReadRecord(RecordPath(id));
    if (!record && record.error().code() == ErrorCode::kNotFound) continue;
    if (!record) return Fail(Error(record.error()).Within(fmt::format("read container {}", id)));
    in_use.image_ids.insert(record->image_id);
    in_use.layer_files.insert(record->machine.layer_files.begin(),
                              record->machine.layer_files.end());
  }
  return in_use;
}

Result<ContainerRecord> Containers::Change(
    const std::string& id, const std::function<Status(ContainerRecord&)>& change) const {
  HULL_ASSIGN(const ContainerLock lock, ContainerLock::Take(*this, id));
  HULL_ASSIGN(ContainerRecord record, ReadRecord(RecordPath(id)));
  HULL_TRY(change(record));
  HULL_TRY(lock.WriteRecord(record));
  return record;
}

Result<ContainerRecord> Containers::Create(ContainerRecord record,
                                           std::string_view oci_config) const {
  HULL_ASSIGN(const ContainerLock lock, ContainerLock::MakeDirectory(*this, record.id));
  const bool any_name = record.name.empty();
  const auto make = [&]() -> Status {
    HULL_ASSIGN(const NamesLock names, NamesLock::Take(*this));
    for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
      if (any_name) {
        HULL_ASSIGN(record.name, RandomContainerName());
      }
      // As docker: when most are taken, a digit makes another.
      if (any_name && attempt > kNameAttempts / 2) record.name += std::to_string(attempt);
      Status claimed = names.Claim(record.name, record.id);
      if (claimed) break;
      const bool again = any_name && claimed.error().code() == ErrorCode::kAlreadyExists;
      if (!again || attempt + 1 == kNameAttempts) return claimed;
    }
    // The record last: a container is there when it has one.
    Status written = lock.WriteFile("config.json", oci_config, DurabilityOf(record));
    if (written) written = lock.WriteRecord(record);
    if (!written) names.Release(record.name, record.id);
    return written;
  };
  if (Status made = make(); !made) {
    static_cast<void>(lock.RemoveDirectory());
    return Fail(std::move(made).error());
  }
  return record;
}

Status Containers::Rename(const std::string& id, const std::string& new_name) const {
  HULL_TRY(CheckContainerName(new_name));
  HULL_ASSIGN(const ContainerLock lock, ContainerLock::Take(*this, id));
  HULL_ASSIGN(ContainerRecord record, ReadRecord(RecordPath(id)));
  if (record.name == new_name) {
    return Fail(ErrorCode::kInvalidArgument,
                "Renaming a container with the same name as its current name");
  }
  HULL_ASSIGN(const NamesLock names, NamesLock::Take(*this));
  HULL_TRY(names.Claim(new_name, id));
  const std::string old_name = std::exchange(record.name, new_name);
  if (Status written = lock.WriteRecord(record); !written) {
    names.Release(new_name, id);
    return written;
  }
  names.Release(old_name, id);
  return {};
}

Status Containers::Remove(const std::string& id) const {
  // Whoever has the run directory decides over the container's life; so nobody starts it now.
  Result<RunDirectory> run = LockRunDirectory(id);
  while (!run && run.error().code() == ErrorCode::kUnavailable) {
    HULL_ASSIGN(const ContainerRecord record, LoadId(id));
    if (IsRunning(record)) return Fail(ErrorCode::kUnavailable, "container {} is running", id);
    if (!AwaitChange(id, kRemoveWaitMs)) return Fail(std::move(run).error());
    run = LockRunDirectory(id);
  }
  if (!run) return Fail(std::move(run).error());
  Status removed = RemoveContainer(*this, id);
  Status cleared = RemoveFlatDirectory(run->path);
  return removed ? cleared : removed;
}

int Containers::Sweep() const {
  return SweepDeadSandboxes(*this).swept;
}

Result<RunDirectory> Containers::LockRunDirectory(const std::string& id) const {
  const std::string path = RunDirectoryPath(id);
  for (int attempt = 0; attempt < kLockAttempts; ++attempt) {
    HULL_ASSIGN(UniqueFd root, LockRunRoot(layout_));
    const Status made = MakeDirectory(path);
    if (!made && made.error().code() != ErrorCode::kAlreadyExists) return Fail(made.error());
    HULL_ASSIGN(UniqueFd fd, OpenDirectory(path));
    if (made) {
      // Somebody may ask at this very moment whether it is locked; that is over at once.
      if (flock(fd.get(), LOCK_EX) != 0) return FailErrno("lock {}", path);
      return RunDirectory{path, std::move(fd)};
    }
    root.Reset();
    if (flock(fd.get(), LOCK_SH | LOCK_NB) != 0) {
      return Fail(ErrorCode::kUnavailable, "container {} is being started, run or ended", id);
    }
    HULL_TRY(SweepDead(*this, id));
    poll(nullptr, 0, attempt > 0 ? 1 : 0);
  }
  return Fail(ErrorCode::kFailed, "cannot keep {}: something removes it", path);
}

bool Containers::AwaitUnlocked(const std::string& id, int timeout_ms) const {
  for (int waited = 0; IsLocked(RunDirectoryPath(id)); waited += kPollMs) {
    if (waited >= timeout_ms) return false;
    poll(nullptr, 0, kPollMs);
  }
  return true;
}

bool Containers::AwaitChange(const std::string& id, int timeout_ms) const {
  for (int waited = 0; IsLocked(RunDirectoryPath(id)); waited += kPollMs) {
    if (waited >= timeout_ms) return false;
    const Result<ContainerRecord> record = ReadRecord(RecordPath(id));
    if (!record || IsRunning(*record)) return true;
    poll(nullptr, 0, kPollMs);
  }
  return true;
}

Result<UniqueFd> Containers::DialGuest(const std::string& id, uint32_t port, int timeout_ms) const {
  Result<UniqueFd> run = OpenDirectory(RunDirectoryPath(id));
  if (!run) return Fail(ErrorCode::kUnavailable, "container {} is not running", id);
  return ConnectToGuest(PathIn(run->get(), "vsock.sock"), port, timeout_ms);
}

Result<UniqueFd> Containers::DialSupervisor(const std::string& id) const {
  const auto gone = [&id] {
    return Fail(ErrorCode::kUnavailable, "container {} is not running", id);
  };
  const Result<UniqueFd> run = OpenDirectory(RunDirectoryPath(id));
  if (!run) return gone();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = PathIn(run->get(), "supervisor.sock");
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return FailErrno("make a socket");
  // SAFETY: connect takes every address as a sockaddr and looks at its family.
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return gone();
  }
  return fd;
}

}  // namespace hull
