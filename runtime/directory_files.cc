#include "runtime/directory_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "vmm/base/file.h"

namespace hull {
namespace {

constexpr mode_t kPrivate = 0700;

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

Status MakeOne(const std::string& path) {
  if (mkdir(path.c_str(), kPrivate) == 0) return {};
  if (errno == EEXIST) return Fail(ErrorCode::kAlreadyExists, "{} is there", path);
  return FailErrno("make {}", path);
}

}  // namespace

Status MakeDirectory(const std::string& path) {
  Status made = MakeOne(path);
  if (made || made.error().code() != ErrorCode::kNotFound) return made;
  HULL_TRY(MakeDirectories(path.substr(0, path.rfind('/')), kPrivate));
  return MakeOne(path);
}

Status RemoveFlatDirectory(const std::string& path) {
  const Directory directory(opendir(path.c_str()));
  if (!directory) {
    if (errno == ENOENT) return {};
    return FailErrno("open {}", path);
  }
  while (const dirent* entry = readdir(directory.get())) {
    const std::string_view name(entry->d_name);
    if (name == "." || name == "..") continue;
    if (unlinkat(dirfd(directory.get()), entry->d_name, 0) != 0 && errno != ENOENT) {
      return FailErrno("remove {}/{}", path, name);
    }
  }
  if (rmdir(path.c_str()) != 0 && errno != ENOENT) return FailErrno("remove {}", path);
  return {};
}

Result<UniqueFd> OpenDirectory(const std::string& path) {
  return OpenFile(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
}

bool IsStill(const std::string& path, int fd) {
  struct stat opened {};
  struct stat named {};
  return fstat(fd, &opened) == 0 && stat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

Status ForEachName(const std::string& path, const std::function<void(std::string_view)>& visit) {
  const Directory directory(opendir(path.c_str()));
  if (!directory) {
    if (errno == ENOENT) return {};
    return FailErrno("open {}", path);
  }
  while (const dirent* entry = readdir(directory.get())) {
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") visit(name);
  }
  return {};
}

}  // namespace hull
