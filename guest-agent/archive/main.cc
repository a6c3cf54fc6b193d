// hull-archive: files of a container as a tar, in or out. Started by the agent in the guest (by
// hull on the host for the host's side of a copy), once for each archive; whatever a tree or a tar
// does, it does to this process alone.
//
// Descriptors: 0 the socket that chunks come from (WRITE), 1 the socket that chunks and ArchiveEnd
// go to, 2 errors as text, 3 the root directory, 4 the ArchiveJob. On the host 1 is for text, too,
// and 0 the socket in both directions. Exit code 1: it failed.
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <set>

#include "guest-agent/archive/confine.h"
#include "guest-agent/archive/layer_changes.h"
#include "guest-agent/archive/tree_sink.h"
#include "guest-agent/archive/tree_source.h"
#include "guest-agent/protocol/archive_job.pb.h"
#include "guest-agent/protocol/chunk_stream.h"
#include "guest-agent/rootfs.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::archive {
namespace {

namespace v1 = agent::v1;
using agent::ChunkSender;

constexpr int kInput = STDIN_FILENO;
constexpr int kOutput = STDOUT_FILENO;
constexpr int kOutputOnHost = STDIN_FILENO;
constexpr int kRoot = 3;
constexpr int kJob = 4;
constexpr size_t kMaxJobBytes = 4 << 20;

Result<ArchiveJob> ReadJob() {
  std::string text(kMaxJobBytes, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(kJob, &text[size], text.size() - size);
    if (got < 0) return FailErrno("read the job");
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  text.resize(size);
  ArchiveJob job;
  if (!job.ParseFromString(text)) return Fail(ErrorCode::kInvalidArgument, "no job is given");
  return job;
}

void AddWarnings(const std::vector<std::string>& warnings, v1::ArchiveEnd& end) {
  for (const std::string& warning : warnings) {
    end.add_warnings(warning.substr(0, 512));
    static_cast<void>(WriteAll(STDERR_FILENO, warning.substr(0, 512) + "\n"));
  }
}

// What a sender says at the end, whether it went well or not.
Status Finish(ChunkSender& sender, const Status& status, v1::ArchiveEnd end) {
  if (end.data_bytes() == 0) end.set_data_bytes(sender.data_bytes());
  if (!status) {
    v1::ArchiveEnd failed = agent::MakeArchiveEnd(status);
    end.set_code(failed.code());
    end.set_message(failed.message());
  }
  Status sent = sender.Finish(end);
  return status ? sent : status;
}

// The host's own side is answered by exit code and text: how many bytes the tar had.
Status FinishOnHost(const Status& status, uint64_t tar_bytes) {
  if (!status) return status;
  return WriteAll(STDOUT_FILENO, fmt::format("{}\n", tar_bytes));
}

Status Read(const ArchiveJob& job) {
  ChunkSender sender(job.on_host() ? kOutputOnHost : kOutput);
  Status confined = job.on_host() ? Status() : EnterRoot(kRoot);
  if (confined) confined = KeepCapabilities({CAP_DAC_READ_SEARCH});
  if (confined) confined = AllowFilesOnly();
  if (!confined) return Finish(sender, confined, {});
  TarWriter tar([&sender](std::span<const std::byte> data) { return sender.Write(data); });
  EntryWriter entries(tar);
  Status status = AddTree(kRoot,
                          {.path = job.request().path(),
                           .follow_link = job.request().follow_link(),
                           .name = job.request().name()},
                          entries);
  if (status) status = tar.Finish();
  v1::ArchiveEnd end;
  end.set_entries(tar.entries());
  AddWarnings(entries.warnings(), end);
  status = Finish(sender, status, std::move(end));
  return job.on_host() ? FinishOnHost(status, sender.data_bytes()) : status;
}

Status ConfineWriter(const ArchiveJob& job) {
  // On the host without privileges, OpenInRoot alone keeps everything in the directory.
  if (!job.on_host() || ::geteuid() == 0) HULL_TRY(EnterRoot(kRoot));
  Status kept = job.on_host()
                    ? KeepCapabilities({CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID})
                    : KeepCapabilities({CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH,
                                        CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP});
  return kept ? AllowFilesOnly() : kept;
}

Status Write(const ArchiveJob& job) {
  ChunkSender sender(kOutput);
  if (Status confined = ConfineWriter(job); !confined) {
    return job.on_host() ? confined : Finish(sender, confined, {});
  }
  ::umask(0);
  SinkRequest request;
  request.path = job.request().path();
  request.links = job.on_host() ? Links::kRefused : Links::kInRoot;
  request.keep_owner = job.request().keep_owner();
  request.own_by_root = !job.on_host();
  request.distrust = job.on_host();
  // Of a directory's content nobody knows the names before.
  if (job.on_host() && job.request().name() != ".") request.only = job.request().name();
  agent::ChunkReceiver receiver(kInput);
  Result<SinkReport> report = ExtractTree(kRoot, request, [&receiver] { return receiver.Next(); });
  // The sender's own failure is the reason, when there is one.
  if (report && receiver.end().code() != 0) report = Fail(agent::ToArchiveError(receiver.end()));
  v1::ArchiveEnd end;
  if (report) {
    end.set_entries(report->entries);
    AddWarnings(report->warnings, end);
  }
  end.set_data_bytes(receiver.data_bytes());
  const Status status = report ? Status() : Status(Fail(report.error()));
  return job.on_host() ? FinishOnHost(status, end.data_bytes())
                       : Finish(sender, status, std::move(end));
}

// The layers below, without the container's writable one. They go with this process's namespace.
Result<UniqueFd> MountBelow(const ArchiveJob& job) {
  if (::unshare(CLONE_NEWNS) != 0) return FailErrno("make a mount namespace");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return FailErrno("part with the other mounts");
  }
  HULL_TRY(agent::MountLayersOnly(job.rootfs(), job.scratch()));
  return OpenFile(job.scratch() + "/lower", O_RDONLY | O_DIRECTORY);
}

Status Changes(const ArchiveJob& job) {
  ChunkSender sender(kOutput);
  const Result<UniqueFd> lower = MountBelow(job);
  if (!lower) return Finish(sender, Fail(lower.error()), {});
  // trusted.overlay.opaque can be read with CAP_SYS_ADMIN only.
  Status confined = KeepCapabilities({CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN});
  if (confined) confined = AllowFilesOnly();
  if (!confined) return Finish(sender, confined, {});
  ChangesRequest request;
  request.upper = kRoot;
  request.lower = lower->get();
  request.mount_points = {job.mount_points().begin(), job.mount_points().end()};
  const TarWriter::Sink sink = [&sender](std::span<const std::byte> data) {
    return sender.Write(data);
  };
  v1::ArchiveEnd end;
  if (job.request().operation() == v1::Archive::CHANGES) {
    uint64_t count = 0;
    Status status = ListChanges(request, sink, &count);
    end.set_entries(count);
    return Finish(sender, status, std::move(end));
  }
  TarWriter tar(sink);
  EntryWriter entries(tar);
  Status status = AddChanges(request, tar, entries);
  if (status) status = tar.Finish();
  end.set_entries(tar.entries());
  AddWarnings(entries.warnings(), end);
  return Finish(sender, status, std::move(end));
}

Status Run() {
  HULL_ASSIGN(const ArchiveJob job, ReadJob());
  // A deep tree takes a descriptor for each level.
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  switch (job.request().operation()) {
    case v1::Archive::READ:
      return Read(job);
    case v1::Archive::WRITE:
      return Write(job);
    default:
      return Changes(job);
  }
}

int Main() {
  std::signal(SIGPIPE, SIG_IGN);
  const Status status = Run();
  if (status) return 0;
  static_cast<void>(WriteAll(STDERR_FILENO, EscapeControl(status.error().ToString()) + "\n"));
  return 1;
}

}  // namespace
}  // namespace hull::archive

int main() {
  // At once: nothing is buffered, and a sanitizer's look for leaks fails in a confined process.
  ::_exit(hull::archive::Main());
}
