#include "tests/fakes/vmm/fake_archive.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "guest-agent/protocol/archive_job.pb.h"
#include "guest-agent/protocol/chunk_stream.h"
#include "vmm/base/check.h"
#include "vmm/base/file.h"

namespace hull::fakes {
namespace {

namespace fs = std::filesystem;
namespace v1 = agent::v1;

constexpr uint64_t kMaxAnswerBytes = 64ULL << 20;

// As on the host's side of a copy: `directory` is all it sees.
Status RunHelper(int socket, const std::string& directory, const v1::Archive& request) {
  archive::ArchiveJob job;
  job.set_on_host(true);
  *job.mutable_request() = request;
  const UniqueFd job_file(memfd_create("job", MFD_CLOEXEC));
  HULL_TRY(WriteAll(job_file.get(), job.SerializeAsString()));
  lseek(job_file.get(), 0, SEEK_SET);
  HULL_ASSIGN(const UniqueFd root, OpenFile(directory, O_PATH | O_DIRECTORY));
  HULL_ASSIGN(const UniqueFd nowhere, OpenFile("/dev/null", O_WRONLY));
  // Out of the way of the numbers that the program has them under.
  std::array<int, 5> given = {socket, nowhere.get(), nowhere.get(), root.get(), job_file.get()};
  for (int& fd : given) fd = fcntl(fd, F_DUPFD_CLOEXEC, 100);
  const pid_t child = fork();
  if (child == 0) {
    for (size_t i = 0; i < given.size(); ++i) dup2(given[i], static_cast<int>(i));
    execl(HULL_ARCHIVE_PROGRAM, HULL_ARCHIVE_PROGRAM, static_cast<char*>(nullptr));
    _exit(127);
  }
  for (const int fd : given) close(fd);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) return Fail(ErrorCode::kFailed, "hull-archive failed in the fake guest");
  return {};
}

void SendChanges(int socket, const std::string& files) {
  std::set<std::string> paths;
  for (const auto& entry : fs::recursive_directory_iterator(files)) {
    paths.insert(entry.path().string().substr(files.size()));
  }
  agent::ChunkSender sender(socket);
  Status sent;
  for (const std::string& path : paths) {
    const std::string record = "A" + path + std::string(1, '\0');
    if (sent) sent = sender.Write(std::as_bytes(std::span(record)));
  }
  if (sent) static_cast<void>(sender.Finish(v1::ArchiveEnd()));
}

void SendFile(int socket, const char* path) {
  const Result<std::string> answer = ReadFile(path, kMaxAnswerBytes);
  HULL_CHECK(answer.has_value());
  static_cast<void>(WriteAll(socket, *answer));
  shutdown(socket, SHUT_WR);
  std::array<char, 65536> ignored{};
  while (read(socket, ignored.data(), ignored.size()) > 0) {
  }
}

}  // namespace

Result<v1::StatResponse> StatFile(const std::string& files, const std::string& path,
                                  bool follow_link) {
  const std::string full = files + "/" + path;
  struct stat status {};
  if ((follow_link ? stat(full.c_str(), &status) : lstat(full.c_str(), &status)) != 0) {
    return Fail(ErrorCode::kNotFound, "{}: no such file or directory", path);
  }
  v1::StatResponse response;
  response.set_mode(status.st_mode);
  response.set_size_bytes(static_cast<uint64_t>(status.st_size));
  if (S_ISLNK(status.st_mode)) response.set_link_target(fs::read_symlink(full).string());
  return response;
}

void ServeArchive(int socket, const std::string& files, const v1::Archive& archive) {
  if (const char* answer = std::getenv("FAKE_ARCHIVE")) return SendFile(socket, answer);
  v1::Archive request = archive;
  switch (archive.operation()) {
    case v1::Archive::READ:
      static_cast<void>(RunHelper(socket, files, request));
      return;
    case v1::Archive::LAYER:
      request.set_operation(v1::Archive::READ);
      request.set_path("/");
      request.set_name(".");
      static_cast<void>(RunHelper(socket, files, request));
      return;
    case v1::Archive::WRITE: {
      request.set_path(".");
      const Status written = RunHelper(socket, files + "/" + archive.path(), request);
      agent::ChunkSender sender(socket);
      static_cast<void>(sender.Finish(written ? v1::ArchiveEnd() : agent::MakeArchiveEnd(written)));
      return;
    }
    default:
      return SendChanges(socket, files);
  }
}

}  // namespace hull::fakes
