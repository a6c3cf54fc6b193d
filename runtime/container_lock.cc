#include "runtime/container_lock.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "runtime/container_id.h"
#include "runtime/directory_files.h"
#include "vmm/base/file.h"

namespace hull {
namespace {

namespace json = boost::json;

constexpr uint64_t kMaxRecordBytes = 16ULL << 20;
constexpr uint64_t kMaxStateBytes = 64ULL << 10;
constexpr uint64_t kSandboxStateVersion = 2;
constexpr int kMakeAttempts = 200;
constexpr char kRecordName[] = "container.json";
constexpr char kSpareName[] = "container.json.spare";
// By how much a record may have grown when a container has ended: an error's words.
constexpr off_t kRecordGrowth = 2048;

std::string NamesDirectory(const Containers& containers) {
  return containers.layout().store_root + "/names";
}

// Where the link of a name leads.
std::optional<std::string> ReadName(const std::string& directory, std::string_view name) {
  std::array<char, PATH_MAX> target{};
  const std::string link = fmt::format("{}/{}", directory, name);
  const ssize_t length = readlink(link.c_str(), target.data(), target.size());
  if (length <= 0) return std::nullopt;
  std::string id(target.data(), static_cast<size_t>(length));
  if (!IsContainerId(id)) return std::nullopt;
  return id;
}

json::object ToJson(const ProcessIdentity& process) {
  return {{"pid", process.pid}, {"start_time", process.start_time}};
}

std::optional<ProcessIdentity> ProcessOf(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(json::string_view(name.data(), name.size()));
  if (value == nullptr || !value->is_object()) return std::nullopt;
  const json::value* pid = value->get_object().if_contains("pid");
  const json::value* start = value->get_object().if_contains("start_time");
  if (pid == nullptr || start == nullptr) return std::nullopt;
  json::error_code bad_pid;
  json::error_code bad_start;
  const ProcessIdentity process{pid->to_number<pid_t>(bad_pid),
                                start->to_number<uint64_t>(bad_start)};
  if (bad_pid || bad_start || process.pid <= 0) return std::nullopt;
  return process;
}

Result<UniqueFd> OpenAndLock(const std::string& directory) {
  Result<UniqueFd> fd = OpenDirectory(directory);
  if (!fd && fd.error().code() == ErrorCode::kNotFound) {
    const Status made = hull::MakeDirectory(directory);
    if (!made && made.error().code() != ErrorCode::kAlreadyExists) return Fail(made.error());
    fd = OpenDirectory(directory);
  }
  if (!fd) return fd;
  while (flock(fd->get(), LOCK_EX) != 0) {
    if (errno != EINTR) return FailErrno("lock {}", directory);
  }
  return fd;
}

}  // namespace

std::string WriteSandboxState(const SandboxState& state) {
  json::object object{{"version", kSandboxStateVersion}};
  if (state.supervisor) object["supervisor"] = ToJson(*state.supervisor);
  if (state.vmm) object["vmm"] = ToJson(*state.vmm);
  return json::serialize(object) + "\n";
}

Result<SandboxState> ParseSandboxState(std::string_view text) {
  json::error_code error;
  const json::value document = json::parse(json::string_view(text.data(), text.size()), error);
  if (error || !document.is_object()) return Fail(ErrorCode::kCorrupt, "not a sandbox's state");
  const json::object& object = document.get_object();
  return SandboxState{ProcessOf(object, "supervisor"), ProcessOf(object, "vmm")};
}

SandboxState ReadSandboxState(const std::string& run_directory) {
  const Result<std::string> text = ReadFile(run_directory + "/state.json", kMaxStateBytes);
  if (!text) return {};
  return ParseSandboxState(*text).value_or(SandboxState{});
}

Result<ContainerRecord> ReadRecord(const std::string& path) {
  HULL_ASSIGN(const std::string text, ReadFile(path, kMaxRecordBytes));
  return ParseContainerRecord(text);
}

bool IsRunning(const ContainerRecord& record) {
  return record.state.status == ContainerStatus::kRunning ||
         record.state.status == ContainerStatus::kPaused;
}

bool IsLocked(const std::string& run_directory) {
  const Result<UniqueFd> fd = OpenDirectory(run_directory);
  // Shared: others may look at the same moment and are not to be taken for a supervisor.
  return fd && flock(fd->get(), LOCK_SH | LOCK_NB) != 0;
}

Result<UniqueFd> LockRunRoot(const HostLayout& layout) {
  return OpenAndLock(layout.run_root);
}

Result<ContainerLock> ContainerLock::Lock(const Containers& containers, const std::string& id,
                                          int how) {
  std::string path = containers.Directory(id);
  Result<UniqueFd> fd = OpenDirectory(path);
  const auto gone = [&id] { return Fail(ErrorCode::kNotFound, "No such container: {}", id); };
  if (!fd && fd.error().code() == ErrorCode::kNotFound) return gone();
  if (!fd) return Fail(std::move(fd).error());
  while (flock(fd->get(), how) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) return Fail(ErrorCode::kUnavailable, "{} is locked", path);
    return FailErrno("lock {}", path);
  }
  if (!IsStill(path, fd->get())) return gone();
  std::string removed =
      fmt::format("{}/{}{}", containers.layout().ContainersDirectory(), kRemovedPrefix, id);
  return ContainerLock(std::move(path), std::move(removed), std::move(*fd));
}

Result<ContainerLock> ContainerLock::Take(const Containers& containers, const std::string& id) {
  return Lock(containers, id, LOCK_EX);
}

Result<ContainerLock> ContainerLock::TryTake(const Containers& containers, const std::string& id) {
  return Lock(containers, id, LOCK_EX | LOCK_NB);
}

Result<ContainerLock> ContainerLock::MakeDirectory(const Containers& containers,
                                                   const std::string& id) {
  for (int attempt = 0; attempt < kMakeAttempts; ++attempt) {
    HULL_TRY(hull::MakeDirectory(containers.Directory(id)));
    // A sweep may take it for one that was left, before it is locked.
    Result<ContainerLock> lock = Take(containers, id);
    if (lock || lock.error().code() != ErrorCode::kNotFound) return lock;
    poll(nullptr, 0, 1);
  }
  return Fail(ErrorCode::kFailed, "cannot keep {}: something removes it", containers.Directory(id));
}

Durability DurabilityOf(const ContainerRecord& record) {
  return record.remove_at_exit ? Durability::kNone : Durability::kOnDisk;
}

bool HasRecord(const Containers& containers, const std::string& id) {
  struct stat status {};
  return stat(containers.RecordPath(id).c_str(), &status) == 0 && status.st_size > 0;
}

Status ContainerLock::WriteFile(std::string_view name, std::string_view text,
                                Durability durability) const {
  // Always the same beside it: what a killed writer left is overwritten by the next.
  const std::string beside = fmt::format("{}.new", name);
  const std::string target(name);
  UniqueFd file(openat(fd_.get(), beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.valid()) return FailErrno("make {}/{}", path_, beside);
  Status status = WriteAll(file.get(), text);
  if (status && durability == Durability::kOnDisk && fdatasync(file.get()) != 0) {
    status = FailErrno("write {} to the disk", beside);
  }
  if (status && renameat(fd_.get(), beside.c_str(), fd_.get(), target.c_str()) != 0) {
    status = FailErrno("rename {}", beside);
  }
  if (status) return {};
  unlinkat(fd_.get(), beside.c_str(), 0);
  return Fail(std::move(status).error().Within(fmt::format("write {}/{}", path_, name)));
}

Status ContainerLock::WriteRecord(const ContainerRecord& record) const {
  const std::string text = WriteContainerRecord(record);
  Status written = WriteFile(kRecordName, text, DurabilityOf(record));
  if (written) return {};
  const int error_number = written.error().error_number();
  const bool full = error_number == ENOSPC || error_number == EDQUOT;
  if (!full || !WriteIntoSpare(text)) return written;
  // The record before has left its place.
  SetSpaceAside();
  return {};
}

void ContainerLock::SetSpaceAside() const {
  struct stat record {};
  if (fstatat(fd_.get(), kRecordName, &record, 0) != 0) return;
  const UniqueFd spare(openat(fd_.get(), kSpareName, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (spare.valid() && fallocate(spare.get(), 0, 0, record.st_size + kRecordGrowth) != 0) {
    unlinkat(fd_.get(), kSpareName, 0);
  }
}

void ContainerLock::GiveSpaceBack() const {
  unlinkat(fd_.get(), kSpareName, 0);
}

bool ContainerLock::WriteIntoSpare(std::string_view text) const {
  const UniqueFd spare(openat(fd_.get(), kSpareName, O_WRONLY | O_CLOEXEC));
  return spare.valid() && WriteAll(spare.get(), text).has_value() &&
         ftruncate(spare.get(), static_cast<off_t>(text.size())) == 0 &&
         fdatasync(spare.get()) == 0 &&
         renameat(fd_.get(), kSpareName, fd_.get(), kRecordName) == 0;
}

Status ContainerLock::RemoveDirectory() const {
  if (rename(path_.c_str(), removed_path_.c_str()) != 0) return FailErrno("remove {}", path_);
  return RemoveFlatDirectory(removed_path_);
}

Result<NamesLock> NamesLock::Take(const Containers& containers) {
  std::string directory = NamesDirectory(containers);
  HULL_ASSIGN(UniqueFd fd, OpenAndLock(directory));
  return NamesLock(containers, std::move(directory), std::move(fd));
}

Status NamesLock::Claim(const std::string& name, const std::string& id) const {
  if (symlinkat(id.c_str(), fd_.get(), name.c_str()) == 0) return {};
  if (errno != EEXIST) return FailErrno("claim the name {}", name);
  if (const std::optional<std::string> holder = HolderOfName(containers_, name)) {
    return Fail(
        Error(ErrorCode::kAlreadyExists,
              fmt::format("Conflict. The container name \"/{}\" is already in use by container "
                          "\"{}\". You have to remove (or rename) that container to be able to "
                          "reuse that name.",
                          name, *holder)));
  }
  unlinkat(fd_.get(), name.c_str(), 0);
  if (symlinkat(id.c_str(), fd_.get(), name.c_str()) != 0) {
    return FailErrno("claim the name {}", name);
  }
  return {};
}

void NamesLock::Release(const std::string& name, const std::string& id) const {
  if (ReadName(directory_, name) == id) unlinkat(fd_.get(), name.c_str(), 0);
}

int NamesLock::RemoveStale() const {
  std::vector<std::string> stale;
  static_cast<void>(ForEachName(directory_, [&](std::string_view name) {
    if (!HolderOfName(containers_, name)) stale.emplace_back(name);
  }));
  for (const std::string& name : stale) unlinkat(fd_.get(), name.c_str(), 0);
  return static_cast<int>(stale.size());
}

std::optional<std::string> HolderOfName(const Containers& containers, std::string_view name) {
  if (!CheckContainerName(name)) return std::nullopt;
  std::optional<std::string> id = ReadName(NamesDirectory(containers), name);
  if (!id) return std::nullopt;
  const Result<ContainerRecord> record = ReadRecord(containers.RecordPath(*id));
  if (!record || record->name != name) return std::nullopt;
  return id;
}

}  // namespace hull
