#include "vmm/base/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hull {

Result<UniqueFd> OpenFile(const std::string& path, int flags, mode_t mode) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return FailErrno("open {}", path);
  return UniqueFd(fd);
}

Result<std::string> ReadFile(const std::string& path, uint64_t cap_bytes) {
  HULL_ASSIGN(const UniqueFd fd, OpenFile(path, O_RDONLY));
  std::string content;
  char buffer[16 * 1024];
  for (;;) {
    const ssize_t count = ::read(fd.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno("read {}", path);
    if (count == 0) return content;
    if (content.size() + static_cast<size_t>(count) > cap_bytes) {
      return Fail(ErrorCode::kExhausted, "{} is larger than the {} bytes allowed", path, cap_bytes);
    }
    content.append(buffer, static_cast<size_t>(count));
  }
}

Status WriteAll(int fd, std::span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t count = ::write(fd, data.data(), data.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno("write");
    data = data.subspan(static_cast<size_t>(count));
  }
  return {};
}

Status WriteAll(int fd, std::string_view data) {
  return WriteAll(fd, std::as_bytes(std::span(data.data(), data.size())));
}

Status WriteFileAtomically(const std::string& path, std::string_view data, mode_t mode) {
  std::string temporary = path + ".XXXXXX";
  UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.valid()) return FailErrno("create a temporary file beside {}", path);
  Status status = WriteAll(fd.get(), data);
  if (status && ::fchmod(fd.get(), mode) != 0) status = FailErrno("chmod {}", temporary);
  if (status && ::rename(temporary.c_str(), path.c_str()) != 0) {
    status = FailErrno("rename {} to {}", temporary, path);
  }
  if (!status) {
    ::unlink(temporary.c_str());
    return Fail(std::move(status).error().Within(fmt::format("write {}", path)));
  }
  return {};
}

Status MakeDirectories(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0) return {};
  if (errno == ENOENT) {
    const size_t slash = path.find_last_of('/');
    if (slash != std::string::npos && slash > 0) {
      HULL_TRY(MakeDirectories(path.substr(0, slash), mode));
      if (::mkdir(path.c_str(), mode) == 0) return {};
    }
  }
  if (errno == EEXIST) {
    struct stat info = {};
    if (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return {};
    errno = ENOTDIR;
  }
  return FailErrno("create directory {}", path);
}

Result<uint64_t> FileSizeBytes(int fd, std::string_view name) {
  struct stat info = {};
  if (::fstat(fd, &info) != 0) return FailErrno("stat {}", name);
  return static_cast<uint64_t>(info.st_size);
}

}  // namespace hull
