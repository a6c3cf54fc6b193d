#include "vmm/base/unique_fd.h"

#include <unistd.h>

#include <cerrno>

namespace hull {

void UniqueFd::Reset(int fd) {
  const int old = std::exchange(fd_, fd);
  if (old < 0) return;
  const int saved_errno = errno;
  // Linux frees the number even when close() reports EINTR or EIO: never retried.
  ::close(old);
  errno = saved_errno;
}

}  // namespace hull
