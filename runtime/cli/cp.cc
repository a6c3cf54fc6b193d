// hull cp: files between a container and the host.
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "guest-agent/protocol/chunk_stream.h"
#include "runtime/cli/command.h"
#include "runtime/cli/local_archive.h"
#include "runtime/container_files.h"
#include "runtime/copy_paths.h"
#include "runtime/events.h"
#include "runtime/format/human.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

using agent::v1::Archive;
using agent::v1::ArchiveEnd;
using agent::v1::StatResponse;

constexpr size_t kCopyBytes = 64 * 1024;

struct CpFlags {
  bool archive = false;
  bool follow_link = false;
  bool quiet = false;
};

void Say(const std::string& text) {
  static_cast<void>(WriteAll(STDERR_FILENO, text));
}

void SayWarnings(const ArchiveEnd& end) {
  for (const std::string& warning : end.warnings()) {
    Say(fmt::format("hull: {}\n", EscapeControl(warning.substr(0, 512))));
  }
}

Result<std::string> Absolute(const std::string& path) {
  if (path.empty()) return Fail(ErrorCode::kInvalidArgument, "a path must not be empty");
  if (path.starts_with('/')) return path;
  std::array<char, PATH_MAX> directory{};
  if (getcwd(directory.data(), directory.size()) == nullptr)
    return FailErrno("find this directory");
  return fmt::format("{}/{}", directory.data(), path);
}

Error NotInContainer(const std::string& path, const std::string& container) {
  return MakeError(ErrorCode::kNotFound, "Could not find the file {} in container {}",
                   EscapeControl(path), container);
}

// What the guest says at the end of an archive.
Status CheckEnd(const ArchiveEnd& end) {
  SayWarnings(end);
  if (end.code() != 0) return Fail(agent::ToArchiveError(end));
  return {};
}

class Copy {
 public:
  Copy(const CpFlags& flags, std::string container, std::string path)
      : flags_(flags), container_(std::move(container)), path_(std::move(path)) {
    if (!path_.starts_with('/')) path_.insert(0, 1, '/');
  }

  Status Out(ContainerFiles& files, const std::string& host_path);
  Status In(ContainerFiles& files, const std::string& host_path);

 private:
  Status OutToStream(ContainerFiles& files, const Archive& archive);
  Status InFromStream(ContainerFiles& files, const Archive& archive);
  Result<std::string> Destination(ContainerFiles& files, PathState& state);
  void Report(uint64_t bytes, const std::string& where) {
    if (flags_.quiet) return;
    Say(fmt::format("Successfully copied {} to {}\n", format::HumanSize(bytes), where));
  }

  const CpFlags& flags_;
  std::string container_;
  std::string path_;
};

Status Copy::OutToStream(ContainerFiles& files, const Archive& archive) {
  HULL_ASSIGN(const UniqueFd socket, files.OpenArchive(archive));
  agent::ChunkReceiver receiver(socket.get());
  for (;;) {
    HULL_ASSIGN(const std::span<const std::byte> chunk, receiver.Next());
    if (chunk.empty()) break;
    HULL_TRY_WITHIN("write the archive", WriteAll(STDOUT_FILENO, chunk));
  }
  return CheckEnd(receiver.end());
}

Status Copy::Out(ContainerFiles& files, const std::string& host_path) {
  HULL_ASSIGN(const std::optional<StatResponse> found,
              files.Stat(path_, flags_.follow_link || path_.ends_with('/')));
  if (!found) return Fail(NotInContainer(path_, container_));
  const bool is_directory = S_ISDIR(found->mode());
  Archive archive;
  archive.set_operation(Archive::READ);
  archive.set_path(path_);
  archive.set_follow_link(flags_.follow_link);
  if (host_path == "-") {
    const std::string name = BaseName(path_);
    archive.set_name(name == "/" || name == ".." ? "." : name);
    return OutToStream(files, archive);
  }
  HULL_ASSIGN(const std::string destination, Absolute(host_path));
  struct stat status {};
  PathState state;
  state.exists = stat(destination.c_str(), &status) == 0;
  state.is_directory = state.exists && S_ISDIR(status.st_mode);
  if (state.exists && !state.is_directory && !S_ISREG(status.st_mode)) {
    return Fail(ErrorCode::kInvalidArgument,
                "destination \"{}\" must be a directory or a regular file", host_path);
  }
  HULL_ASSIGN(const CopyTarget target, PlanCopy(path_, is_directory, destination, state));
  if (stat(target.directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
    return Fail(ErrorCode::kInvalidArgument, "invalid output path: directory \"{}\" does not exist",
                target.directory);
  }
  archive.set_name(target.name);
  HULL_ASSIGN(const UniqueFd socket, files.OpenArchive(archive));
  HULL_ASSIGN(const ReceivedLocal received,
              ReceiveLocal(socket.get(), target.directory, target.name, flags_.archive));
  Say(received.warnings);
  Report(received.tar_bytes, host_path);
  return {};
}

Status Copy::InFromStream(ContainerFiles& files, const Archive& archive) {
  HULL_ASSIGN(const UniqueFd socket, files.OpenArchive(archive));
  agent::ChunkSender sender(socket.get());
  std::vector<std::byte> buffer(kCopyBytes);
  Status sent;
  while (sent) {
    const ssize_t got = read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("read standard input");
    if (got == 0) break;
    sent = sender.Write(std::span(buffer.data(), static_cast<size_t>(got)));
  }
  if (sent) sent = sender.Finish(ArchiveEnd());
  // Whoever stops listening says why.
  HULL_ASSIGN(const ArchiveEnd end, agent::ReceiveArchiveEnd(socket.get()));
  return CheckEnd(end);
}

// Where the user's path leads: a link at its end is followed, even to what is not there yet.
Result<std::string> Copy::Destination(ContainerFiles& files, PathState& state) {
  std::string path = path_;
  HULL_ASSIGN(std::optional<StatResponse> found, files.Stat(path, false));
  if (found && S_ISLNK(found->mode()) && !found->link_target().empty()) {
    const std::string& target = found->link_target();
    path = target.starts_with('/') ? target : fmt::format("{}/{}", ParentOf(path), target);
    HULL_ASSIGN(found, files.Stat(path, true));
  }
  state.exists = found.has_value();
  state.is_directory = found && S_ISDIR(found->mode());
  if (found && !state.is_directory && !S_ISREG(found->mode())) {
    return Fail(ErrorCode::kInvalidArgument,
                "destination \"{}:{}\" must be a directory or a regular file", container_,
                EscapeControl(path_));
  }
  return path;
}

Status Copy::In(ContainerFiles& files, const std::string& host_path) {
  PathState state;
  HULL_ASSIGN(const std::string destination, Destination(files, state));
  Archive archive;
  archive.set_operation(Archive::WRITE);
  archive.set_keep_owner(flags_.archive);
  if (host_path == "-") {
    if (!state.exists) return Fail(NotInContainer(path_, container_));
    if (!state.is_directory) {
      return Fail(ErrorCode::kInvalidArgument, "destination \"{}:{}\" must be a directory",
                  container_, EscapeControl(path_));
    }
    archive.set_path(destination);
    archive.set_keep_owner(true);  // as the archive says, like docker
    return InFromStream(files, archive);
  }
  HULL_ASSIGN(const std::string source, Absolute(host_path));
  struct stat status {};
  const bool follow = flags_.follow_link || source.ends_with('/');
  if ((follow ? stat(source.c_str(), &status) : lstat(source.c_str(), &status)) != 0) {
    return FailErrno("lstat {}", host_path);
  }
  HULL_ASSIGN(const CopyTarget target,
              PlanCopy(source, S_ISDIR(status.st_mode), destination, state));
  archive.set_path(target.directory);
  HULL_ASSIGN(const UniqueFd socket, files.OpenArchive(archive));
  const Result<uint64_t> sent = SendLocal(socket.get(), source, flags_.follow_link, target.name);
  const Result<ArchiveEnd> end = agent::ReceiveArchiveEnd(socket.get());
  // If the guest gave up first, its reason is the reason; else our own.
  if (end && end->code() != 0) {
    const Error error = agent::ToArchiveError(*end);
    if (error.code() == ErrorCode::kNotFound) {
      return Fail(NotInContainer(target.directory, container_));
    }
    if (sent) return Fail(error);
    HULL_TRY(sent);
  }
  HULL_TRY(sent);
  if (!end) return Fail(end.error());
  HULL_TRY(CheckEnd(*end));
  Report(*sent, fmt::format("{}:{}", container_, path_));
  return {};
}

Status CopyFiles(const CpFlags& flags, const std::vector<std::string>& arguments,
                 const GlobalOptions& global) {
  const CopyPlace source = ParseCopyPlace(arguments[0]);
  const CopyPlace destination = ParseCopyPlace(arguments[1]);
  if (source.container && destination.container) {
    return Fail(ErrorCode::kInvalidArgument, "copying between containers is not supported");
  }
  if (!source.container && !destination.container) {
    return Fail(ErrorCode::kInvalidArgument,
                "must specify at least one container source or destination");
  }
  const CopyPlace& inside = source.container ? source : destination;
  const CopyPlace& outside = source.container ? destination : source;
  HULL_ASSIGN(const HostLayout layout, FindHostLayout(global.root, global.state));
  const Containers containers(layout);
  HULL_ASSIGN(const ContainerRecord record, containers.Load(*inside.container));
  HULL_ASSIGN(const std::unique_ptr<ContainerFiles> files,
              ContainerFiles::Open(containers, record));
  RecordContainerEvent(layout, record, source.container ? "archive-path" : "extract-to-dir",
                       {{"path", inside.path}});
  Copy copy(flags, *inside.container, inside.path);
  Status copied = source.container ? copy.Out(*files, outside.path) : copy.In(*files, outside.path);
  Status finished = files->Finish();
  HULL_TRY(copied);
  return finished;
}

Action DeclareCp(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<CpFlags>();
  app.add_flag("-a,--archive", flags->archive, "Keep owners; otherwise files are root's, or yours");
  app.add_flag("-L,--follow-link", flags->follow_link, "Copy what a symbolic link SRC points to");
  app.add_flag("-q,--quiet", flags->quiet, "Do not say how much was copied");
  return [flags, &global](const std::vector<std::string>& arguments) {
    signal(SIGPIPE, SIG_IGN);
    const Status copied = CopyFiles(*flags, arguments, global);
    if (copied) return 0;
    PrintError(copied.error());
    return kExitFailed;
  };
}

constexpr Example kExamples[] = {
    {"hull cp web:/etc/nginx .", "A directory out of the container web"},
    {"hull cp site/. web:/srv", "The content of a directory into it"},
    {"hull cp web:/var/log - | tar t", "A tar to a pipe"},
};

}  // namespace

extern const Command kCp;
constinit const Command kCp = {
    .name = "cp",
    .group = Group::kContainers,
    .aliases = "container cp",
    .summary = "Copy files between a container and the host",
    .arguments = "[OPTIONS] CONTAINER:PATH PATH|-\n[OPTIONS] PATH|- CONTAINER:PATH",
    .description =
        "A directory is copied with all that is in it; one whose path ends with /. only with its "
        "content. \"-\" is a tar on standard input or output. While the container runs, its mounts "
        "are seen as its processes see them; when it does not, its own files alone, in a virtual "
        "machine that is started for it.\n\nOn the host no device is made and no file capability "
        "set, and set-user-id bits are kept only with -a: what comes out of a container is not "
        "trusted.",
    .examples = kExamples,
    .declare = DeclareCp,
};

}  // namespace hull::cli
