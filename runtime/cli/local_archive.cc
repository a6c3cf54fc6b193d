#include "runtime/cli/local_archive.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <climits>

#include "guest-agent/protocol/archive_job.pb.h"
#include "images/store/child_process.h"
#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

namespace hull::cli {
namespace {

// Beside this program, or HULL_ARCHIVE.
std::string Program() {
  if (const char* set = getenv("HULL_ARCHIVE")) return set;
  std::array<char, PATH_MAX> self{};
  const ssize_t size = readlink("/proc/self/exe", self.data(), self.size());
  const std::string path(self.data(), size > 0 ? static_cast<size_t>(size) : 0);
  return path.substr(0, path.rfind('/') + 1) + "hull-archive";
}

Result<UniqueFd> JobFile(const archive::ArchiveJob& job) {
  UniqueFd file(memfd_create("hull-job", MFD_CLOEXEC));
  if (!file.valid()) return FailErrno("make a file in memory");
  HULL_TRY(WriteAll(file.get(), job.SerializeAsString()));
  if (lseek(file.get(), 0, SEEK_SET) != 0) return FailErrno("rewind a file in memory");
  return file;
}

Result<images::CommandResult> RunHelper(const archive::ArchiveJob& job, const std::string& root,
                                        int socket) {
  HULL_ASSIGN(const UniqueFd directory, OpenFile(root, O_PATH | O_DIRECTORY));
  HULL_ASSIGN(const UniqueFd job_file, JobFile(job));
  images::Command command;
  command.arguments = {Program()};
  command.input = socket;
  command.extra = {directory.get(), job_file.get()};
  HULL_ASSIGN(images::CommandResult result, images::RunCommand(command));
  if (result.exit_code == 0) return result;
  while (result.errors.ends_with('\n')) result.errors.pop_back();
  // Warnings come before the error, which is the last line.
  const std::string last = result.errors.substr(result.errors.rfind('\n') + 1);
  if (last.empty()) {
    return Fail(ErrorCode::kFailed, "hull-archive ended with exit code {}", result.exit_code);
  }
  return Fail(ErrorCode::kFailed, "{}", last);
}

uint64_t TarBytes(const images::CommandResult& result) {
  uint64_t bytes = 0;
  std::from_chars(result.output.data(), result.output.data() + result.output.size(), bytes);
  return bytes;
}

}  // namespace

Result<uint64_t> SendLocal(int socket, const std::string& path, bool follow_link,
                           const std::string& name) {
  archive::ArchiveJob job;
  job.set_on_host(true);
  job.mutable_request()->set_operation(agent::v1::Archive::READ);
  job.mutable_request()->set_path(path);
  job.mutable_request()->set_follow_link(follow_link);
  job.mutable_request()->set_name(name);
  HULL_ASSIGN(const images::CommandResult result, RunHelper(job, "/", socket));
  return TarBytes(result);
}

Result<ReceivedLocal> ReceiveLocal(int socket, const std::string& directory,
                                   const std::string& name, bool keep_owner) {
  archive::ArchiveJob job;
  job.set_on_host(true);
  job.mutable_request()->set_operation(agent::v1::Archive::WRITE);
  job.mutable_request()->set_path(".");
  job.mutable_request()->set_name(name);
  job.mutable_request()->set_keep_owner(keep_owner);
  HULL_ASSIGN(const images::CommandResult result, RunHelper(job, directory, socket));
  ReceivedLocal received;
  received.warnings = result.errors;
  received.tar_bytes = TarBytes(result);
  return received;
}

}  // namespace hull::cli
