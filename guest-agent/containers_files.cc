// Files and processes of a container as the host asks for them: archives, Stat, Processes.
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <utility>

#include "guest-agent/archive/in_root.h"
#include "guest-agent/containers.h"
#include "guest-agent/kernel_log.h"
#include "guest-agent/oci.h"
#include "guest-agent/processes.h"
#include "guest-agent/protocol/archive_job.pb.h"
#include "guest-agent/spawn.h"
#include "guest-agent/user.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::agent {
namespace {

constexpr size_t kMaxArchives = 16;
// A container that does not come to a standstill within a second is archived as it is.
constexpr int kStandstillPolls = 500;
constexpr std::chrono::milliseconds kStandstillPoll{2};

Status ValidatePath(std::string_view field, std::string_view path) {
  if (path.empty() || path.size() >= PATH_MAX || path.find('\0') != std::string_view::npos) {
    return Fail(ErrorCode::kInvalidArgument, "{}: not a path (1 to {} bytes)", field, PATH_MAX - 1);
  }
  return {};
}

Status ValidateArchive(const v1::Archive& archive) {
  switch (archive.operation()) {
    case v1::Archive::READ:
      if (archive.name().empty() || archive.name().size() > NAME_MAX || archive.name() == ".." ||
          archive.name().find('/') != std::string::npos ||
          archive.name().find('\0') != std::string::npos) {
        return Fail(ErrorCode::kInvalidArgument, "archive.name: not a name");
      }
      return ValidatePath("archive.path", archive.path());
    case v1::Archive::WRITE:
      return ValidatePath("archive.path", archive.path());
    case v1::Archive::CHANGES:
    case v1::Archive::LAYER:
      return {};
    default:
      return Fail(ErrorCode::kInvalidArgument, "archive.operation: {} is none",
                  static_cast<int>(archive.operation()));
  }
}

// A file in memory, read from its beginning.
Result<UniqueFd> MemoryFile(const std::string& content) {
  UniqueFd file(::memfd_create("hull-job", MFD_CLOEXEC));
  if (!file.valid()) return FailErrno("make a file in memory");
  HULL_TRY(WriteAll(file.get(), content));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return FailErrno("rewind a file in memory");
  return file;
}

}  // namespace

Result<UniqueFd> Containers::OpenContainerRoot(const Container& container) const {
  // The process cannot be another by now: its number is free only once it is reaped, and then the
  // container has stopped.
  const std::string path =
      container.alive() ? fmt::format("/proc/{}/root", container.init.pid) : container.rootfs();
  return OpenFile(path, O_PATH | O_DIRECTORY);
}

Result<Containers::ArchiveLaunchPtr> Containers::PrepareArchive(const v1::StreamOpen& open) {
  if (ending_) return Fail(ErrorCode::kUnavailable, "the machine is being switched off");
  HULL_ASSIGN(const ContainerPtr container, Find(open.container_id()));
  if (container->state == Container::State::kCreating ||
      container->state == Container::State::kDeleting) {
    return Fail(ErrorCode::kUnavailable, "container {} is {}", container->id,
                StateName(container->state));
  }
  HULL_TRY(ValidateArchive(open.archive()));
  if (archives_.size() >= kMaxArchives) {
    return Fail(ErrorCode::kExhausted, "more than {} archives under way", kMaxArchives);
  }
  auto made = std::make_shared<ArchiveLaunch>();
  ArchiveLaunch& launch = *made;
  launch.container_id = container->id;
  launch.pause = open.archive().pause();
  archive::ArchiveJob job;
  *job.mutable_request() = open.archive();
  if (open.archive().operation() == v1::Archive::CHANGES ||
      open.archive().operation() == v1::Archive::LAYER) {
    HULL_ASSIGN(launch.root, OpenFile(container->directory + "/rw/upper", O_RDONLY | O_DIRECTORY));
    *job.mutable_rootfs() = container->rootfs_request;
    job.set_scratch(container->directory + "/below");
    if (::mkdir(job.scratch().c_str(), 0700) != 0 && errno != EEXIST) {
      return FailErrno("make {}", job.scratch());
    }
    for (const std::string& point : container->mount_points) job.add_mount_points(point);
  } else {
    HULL_ASSIGN(launch.root, OpenContainerRoot(*container));
  }
  HULL_ASSIGN(launch.job, MemoryFile(job.SerializeAsString()));
  return made;
}

void Containers::StartArchive(const ArchiveLaunchPtr& launch, UniqueFd socket) {
  const Result<ContainerPtr> found = Find(launch->container_id);
  if (!found || ending_ || archives_.size() >= kMaxArchives) return;
  const ContainerPtr& container = *found;
  if (!launch->pause || container->state != Container::State::kRunning) {
    return RunArchive(launch, std::move(socket), [] {});
  }
  if (container->standstills++ == 0) {
    [[maybe_unused]] const Status written = container->cgroup.SetFrozen(true);
  }
  auto owned = std::make_shared<UniqueFd>(std::move(socket));
  AwaitStandstill(container, kStandstillPolls, [this, launch, owned, container] {
    RunArchive(launch, std::move(*owned), [container] {
      // Somebody may have paused it for good meanwhile.
      if (--container->standstills > 0 || container->state == Container::State::kPaused) return;
      [[maybe_unused]] const Status written = container->cgroup.SetFrozen(false);
    });
  });
}

void Containers::AwaitStandstill(const ContainerPtr& container, int attempts_left,
                                 std::function<void()> done) {
  if (attempts_left == 0 || container->cgroup.Frozen()) return done();
  After(kStandstillPoll, [this, container, attempts_left, done = std::move(done)]() mutable {
    AwaitStandstill(container, attempts_left - 1, std::move(done));
  });
}

void Containers::RunArchive(const ArchiveLaunchPtr& launch, UniqueFd socket,
                            const std::function<void()>& done) {
  // The loop had it non-blocking; the program waits for its bytes.
  const int flags = ::fcntl(socket.get(), F_GETFL);
  ::fcntl(socket.get(), F_SETFL, flags & ~O_NONBLOCK);
  const Result<pid_t> pid = Spawn({places_.archive}, {.input = socket.get(),
                                                      .output = socket.get(),
                                                      .third = launch->root.get(),
                                                      .fourth = launch->job.get()});
  if (!pid) {
    LogError("archive: {}", pid.error().ToString());
    return done();
  }
  archives_.emplace(*pid, launch->container_id);
  reaper_.Watch(*pid, [this, pid = *pid, done](const ExitStatus& exit) {
    archives_.erase(pid);
    if (exit.signal != 0 && exit.signal != SIGKILL) {
      LogWarning("hull-archive was ended by signal {}", exit.signal);
    }
    done();
  });
}

void Containers::KillArchives(const std::string& container_id) {
  for (const auto& [pid, id] : archives_) {
    if (id == container_id) ::kill(pid, SIGKILL);
  }
}

Result<v1::ProcessesResponse> Containers::Processes(const v1::ProcessesRequest& request) {
  HULL_ASSIGN(const ContainerPtr container, Find(request.container_id()));
  if (!container->alive()) {
    return Fail(ErrorCode::kUnavailable, "container {} is {}", container->id,
                StateName(container->state));
  }
  // Without names there are numbers.
  const Result<AccountFiles> files = ReadAccountFiles(container->rootfs());
  return ListProcesses(container->cgroup.Processes(), container->init.pid,
                       files ? *files : AccountFiles());
}

Result<v1::StatResponse> Containers::Stat(const v1::StatRequest& request) {
  HULL_ASSIGN(const ContainerPtr container, Find(request.container_id()));
  if (container->state == Container::State::kCreating ||
      container->state == Container::State::kDeleting) {
    return Fail(ErrorCode::kUnavailable, "container {} is {}", container->id,
                StateName(container->state));
  }
  HULL_TRY(ValidatePath("path", request.path()));
  HULL_ASSIGN(const UniqueFd root, OpenContainerRoot(*container));
  const int flags = request.follow_link() ? O_PATH : O_PATH | O_NOFOLLOW;
  Result<UniqueFd> file =
      archive::OpenInRoot(root.get(), request.path(), flags, archive::Links::kInRoot);
  if (!file && file.error().error_number() == ENOENT) {
    return Fail(ErrorCode::kNotFound, "{}: no such file or directory",
                EscapeControl(request.path()));
  }
  if (!file) return Fail(std::move(file).error());
  struct stat status {};
  if (::fstat(file->get(), &status) != 0) return FailErrno("{}", EscapeControl(request.path()));
  v1::StatResponse response;
  response.set_mode(status.st_mode);
  response.set_size_bytes(static_cast<uint64_t>(status.st_size));
  response.set_modified_at_ns(int64_t{status.st_mtim.tv_sec} * 1'000'000'000 +
                              status.st_mtim.tv_nsec);
  if (S_ISLNK(status.st_mode)) {
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlinkat(file->get(), "", target.data(), target.size());
    if (size > 0) response.set_link_target(std::string(target.data(), static_cast<size_t>(size)));
  }
  return response;
}

}  // namespace hull::agent
