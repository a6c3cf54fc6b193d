#include "guest-agent/archive/in_root.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "vmm/base/escape.h"

namespace hull::archive {

Result<UniqueFd> OpenInRoot(int root, const std::string& path, int flags, Links links) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_NO_MAGICLINKS |
                (links == Links::kInRoot ? RESOLVE_IN_ROOT : RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
  const std::string shown = path.empty() ? "." : path;
  for (;;) {
    const auto fd = static_cast<int>(::syscall(SYS_openat2, root, shown.c_str(), &how, sizeof how));
    if (fd >= 0) return UniqueFd(fd);
    // A rename somewhere made the kernel unsure that ".." stayed inside: once more.
    if (errno == EAGAIN || errno == EINTR) continue;
    const int error_number = errno;
    Error error = Error::FromErrno(error_number, fmt::format("open {}", EscapeControl(shown)));
    if (error_number == ELOOP && links == Links::kRefused) {
      error = MakeError(ErrorCode::kPermissionDenied, "{} leads through a symbolic link",
                        EscapeControl(shown));
    }
    return Fail(std::move(error));
  }
}

Result<std::vector<std::string>> SplitPath(const std::string& path) {
  if (path.size() >= PATH_MAX || path.find('\0') != std::string::npos) {
    return Fail(ErrorCode::kInvalidArgument, "a path of {} bytes cannot be", path.size());
  }
  std::vector<std::string> parts;
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    std::string part = path.substr(begin, end - begin);
    begin = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      return Fail(ErrorCode::kInvalidArgument, "the name {} leads out of its directory",
                  EscapeControl(path));
    }
    if (part.size() > NAME_MAX) {
      return Fail(ErrorCode::kInvalidArgument, "a name of {} bytes cannot be", part.size());
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace hull::archive
