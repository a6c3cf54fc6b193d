#include "images/store/file_lock.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "vmm/base/file.h"

namespace hull::images {
namespace {

Status Flock(int fd, int operation, const std::string& path) {
  while (::flock(fd, operation) != 0) {
    if (errno != EINTR) return FailErrno("lock {}", path);
  }
  return {};
}

// Whether `path` still names what `fd` has open.
bool IsSameFile(int fd, const std::string& path) {
  struct stat opened = {};
  struct stat named = {};
  return ::fstat(fd, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

// A killed command's children die with it, but may write a last file while their directory is
// removed.
void RemoveTree(const std::string& path) {
  constexpr int kTries = 20;
  constexpr useconds_t kPauseUs = 5'000;
  for (int i = 0; i < kTries; ++i) {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (!error || error == std::errc::permission_denied ||
        error == std::errc::read_only_file_system) {
      return;
    }
    ::usleep(kPauseUs);
  }
}

}  // namespace

Result<FileLock> FileLock::Acquire(const std::string& path) {
  for (;;) {
    HULL_ASSIGN(UniqueFd fd, OpenFile(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
    HULL_TRY(Flock(fd.get(), LOCK_EX, path));
    // The one before may have removed the file while this one waited: then the lock protects
    // nothing.
    if (IsSameFile(fd.get(), path)) return FileLock(path, std::move(fd));
  }
}

void FileLock::RemoveAbandoned(const std::string& directory) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string path = entry.path();
    const Result<UniqueFd> fd = OpenFile(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
    if (!fd || ::flock(fd->get(), LOCK_EX | LOCK_NB) != 0) continue;
    if (IsSameFile(fd->get(), path)) ::unlink(path.c_str());
  }
}

FileLock::FileLock(FileLock&& other) noexcept
    : path_(std::exchange(other.path_, std::string())), fd_(std::move(other.fd_)) {}

FileLock::~FileLock() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Result<ScratchDirectory> ScratchDirectory::Make(const std::string& parent) {
  for (;;) {
    std::string path = parent + "/XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) return FailErrno("create a directory in {}", parent);
    Result<UniqueFd> fd = OpenFile(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    // Between its making and its locking it looks abandoned: if somebody removed it, make another.
    if (!fd && fd.error().error_number() == ENOENT) continue;
    if (!fd) return Fail(std::move(fd).error());
    HULL_TRY(Flock(fd->get(), LOCK_EX, path));
    if (IsSameFile(fd->get(), path)) return ScratchDirectory(path, *std::move(fd));
  }
}

ScratchDirectory::Others ScratchDirectory::Look(const std::string& parent) {
  Others others;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(parent, error)) {
    const Result<UniqueFd> fd = OpenFile(entry.path(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!fd) continue;
    // The lock goes with the descriptor; who makes a directory waits for it.
    if (::flock(fd->get(), LOCK_EX | LOCK_NB) == 0) {
      others.abandoned = true;
    } else {
      others.held.push_back(entry.path());
    }
  }
  return others;
}

void ScratchDirectory::RemoveAbandoned(const std::string& parent) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(parent, error)) {
    const Result<UniqueFd> fd = OpenFile(entry.path(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!fd || ::flock(fd->get(), LOCK_EX | LOCK_NB) != 0) continue;
    RemoveTree(entry.path());
  }
}

ScratchDirectory::ScratchDirectory(ScratchDirectory&& other) noexcept
    : path_(std::exchange(other.path_, std::string())), fd_(std::move(other.fd_)) {}

ScratchDirectory::~ScratchDirectory() {
  if (!path_.empty()) RemoveTree(path_);
}

}  // namespace hull::images
