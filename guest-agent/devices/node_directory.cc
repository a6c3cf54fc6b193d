#include "guest-agent/devices/node_directory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "guest-agent/archive/in_root.h"

namespace hull::agent {
namespace {

constexpr uint64_t kBelow =
    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

UniqueFd OpenDirectoryAt(int parent, const char* name, uint64_t resolve) {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = resolve;
  int fd = -1;
  do {
    fd = static_cast<int>(::syscall(SYS_openat2, parent, name, &how, sizeof how));
  } while (fd < 0 && (errno == EAGAIN || errno == EINTR));
  return UniqueFd(fd);
}

dev_t NumberOf(const DeviceNode& node) {
  return ::makedev(node.major, node.minor);
}

mode_t TypeOf(const DeviceNode& node) {
  return node.block ? S_IFBLK : S_IFCHR;
}

bool IsNode(int directory, const std::string& name, const DeviceNode& node) {
  struct stat status {};
  return ::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
         (status.st_mode & S_IFMT) == TypeOf(node) && status.st_rdev == NumberOf(node);
}

// mknod with exactly these permission bits. Not chmod: that would follow a link that the container
// exchanged the node for. The agent has one thread, so nothing else is made under this umask.
int MakeNode(int directory, const std::string& name, const DeviceNode& node) {
  const mode_t before = ::umask(0);
  const int failed =
      ::mknodat(directory, name.c_str(), TypeOf(node) | node.mode, NumberOf(node)) == 0 ? 0 : errno;
  ::umask(before);
  return failed;
}

}  // namespace

Result<NodeDirectory> NodeDirectory::Open(int container_root) {
  UniqueFd directory = OpenDirectoryAt(
      container_root, "dev", RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
  if (!directory.valid()) return FailErrno("open the container's /dev");
  struct statfs system {};
  struct statx status {};
  if (::fstatfs(directory.get(), &system) != 0 ||
      ::statx(directory.get(), "", AT_EMPTY_PATH, STATX_TYPE, &status) != 0) {
    return FailErrno("look at the container's /dev");
  }
  if (system.f_type != TMPFS_MAGIC || (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0) {
    return Fail(
        ErrorCode::kInvalidArgument,
        "the container has no tmpfs of its own at /dev, so its devices cannot appear there");
  }
  return NodeDirectory(std::move(directory));
}

Result<UniqueFd> NodeDirectory::Parent(const std::vector<std::string>& parts,
                                       Missing missing) const {
  UniqueFd at = OpenDirectoryAt(directory_.get(), ".", kBelow);
  for (size_t i = 0; i + 1 < parts.size() && at.valid(); ++i) {
    UniqueFd next = OpenDirectoryAt(at.get(), parts[i].c_str(), kBelow);
    if (!next.valid() && errno == ENOENT && missing == Missing::kMade) {
      if (::mkdirat(at.get(), parts[i].c_str(), 0755) != 0 && errno != EEXIST) {
        return FailErrno("make /dev/{}", parts[i]);
      }
      next = OpenDirectoryAt(at.get(), parts[i].c_str(), kBelow);
    }
    if (!next.valid()) return FailErrno("open /dev/{}", parts[i]);
    at = std::move(next);
  }
  if (!at.valid()) return FailErrno("open the container's /dev");
  return at;
}

Status NodeDirectory::Make(const DeviceNode& node) const {
  HULL_ASSIGN(const std::vector<std::string> parts, archive::SplitPath(node.name));
  if (parts.empty()) return Fail(ErrorCode::kInvalidArgument, "a node without a name");
  HULL_ASSIGN(const UniqueFd parent, Parent(parts, Missing::kMade));
  const int failed = MakeNode(parent.get(), parts.back(), node);
  if (failed == EEXIST) {
    if (IsNode(parent.get(), parts.back(), node)) return {};
    return Fail(ErrorCode::kAlreadyExists, "/dev/{} is something else in the container", node.name);
  }
  if (failed != 0) return Fail(Error::FromErrno(failed, "make /dev/" + node.name));
  // A link that took the node's place meanwhile is not followed: something of the container's own
  // would have another owner.
  if ((node.uid != 0 || node.gid != 0) && ::fchownat(parent.get(), parts.back().c_str(), node.uid,
                                                     node.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return FailErrno("set the owner of /dev/{}", node.name);
  }
  return {};
}

Status NodeDirectory::Remove(const DeviceNode& node) const {
  HULL_ASSIGN(const std::vector<std::string> parts, archive::SplitPath(node.name));
  if (parts.empty()) return {};
  const Result<UniqueFd> parent = Parent(parts, Missing::kError);
  // Whatever is in its way is the container's own doing.
  if (!parent || !IsNode(parent->get(), parts.back(), node)) return {};
  if (::unlinkat(parent->get(), parts.back().c_str(), 0) != 0 && errno != ENOENT) {
    return FailErrno("remove /dev/{}", node.name);
  }
  return {};
}

}  // namespace hull::agent
