#include "guest-agent/archive/tree_source.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "guest-agent/archive/in_root.h"
#include "vmm/base/escape.h"

namespace hull::archive {
namespace {

constexpr int kMaxHops = 40;  // the kernel's

Status AddChildren(int directory, const std::string& path, EntryWriter& entries) {
  HULL_ASSIGN(const std::vector<std::string> names, ListDirectory(directory));
  for (const std::string& name : names) {
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;  // gone since
      return FailErrno("look at {}", EscapeControl(path + name));
    }
    const std::string child = path + name;
    // Nobody could make it again, and no tar reader take it.
    if (child.size() >= PATH_MAX - 1) {
      return Fail(ErrorCode::kExhausted, "{}...: the path is longer than {} bytes",
                  EscapeControl(child.substr(0, 100)), PATH_MAX - 2);
    }
    HULL_TRY(entries.Add(directory, name, child, status));
    if (!S_ISDIR(status.st_mode)) continue;
    HULL_ASSIGN_WITHIN(EscapeControl(child), const UniqueFd below,
                       OpenDirectoryAt(directory, name));
    HULL_TRY(AddChildren(below.get(), child + "/", entries));
  }
  return {};
}

struct Place {
  UniqueFd parent;
  std::string name;
};

// The directory that `path` is in, and its name there. "." for the root itself.
Result<Place> FindPlace(int root, const std::string& path) {
  std::string trimmed = path;
  while (!trimmed.empty() && trimmed.back() == '/') trimmed.pop_back();
  const size_t slash = trimmed.rfind('/');
  std::string name = slash == std::string::npos ? trimmed : trimmed.substr(slash + 1);
  std::string parent = slash == std::string::npos ? std::string() : trimmed.substr(0, slash);
  if (name.empty() || name == "." || name == "..") {
    parent = trimmed;
    name.assign(1, '.');
  }
  if (parent.empty()) parent.assign(1, '/');
  Place place;
  HULL_ASSIGN(place.parent, OpenInRoot(root, parent, O_PATH | O_DIRECTORY, Links::kInRoot));
  place.name = std::move(name);
  return place;
}

Result<struct stat> StatusOf(const Place& place, const std::string& path) {
  struct stat status {};
  if (::fstatat(place.parent.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return FailErrno("{}", EscapeControl(path));
  }
  return status;
}

// Follows links at the end by hand: what is there has to be named within an open directory.
Result<Place> FollowLinks(int root, std::string path) {
  for (int hops = 0; hops < kMaxHops; ++hops) {
    HULL_ASSIGN(Place place, FindPlace(root, path));
    HULL_ASSIGN(const struct stat status, StatusOf(place, path));
    if (!S_ISLNK(status.st_mode)) return place;
    std::string target(PATH_MAX, '\0');
    const ssize_t size =
        ::readlinkat(place.parent.get(), place.name.c_str(), target.data(), target.size());
    if (size <= 0) return FailErrno("read the link {}", EscapeControl(path));
    target.resize(static_cast<size_t>(size));
    while (path.ends_with('/')) path.pop_back();
    path = target.starts_with('/') ? target : path.substr(0, path.rfind('/') + 1) + target;
  }
  return Fail(ErrorCode::kInvalidArgument, "{}: too many symbolic links", EscapeControl(path));
}

}  // namespace

Status AddTree(int root, const SourceRequest& request, EntryWriter& entries) {
  const bool follow = request.follow_link || request.path.ends_with('/');
  HULL_ASSIGN(const Place place,
              follow ? FollowLinks(root, request.path) : FindPlace(root, request.path));
  HULL_ASSIGN(const struct stat status, StatusOf(place, request.path));
  if (!S_ISDIR(status.st_mode)) {
    return entries.Add(place.parent.get(), place.name, request.name, status);
  }
  HULL_ASSIGN(const UniqueFd directory, OpenDirectoryAt(place.parent.get(), place.name));
  HULL_TRY(entries.Add(place.parent.get(), place.name, request.name + "/", status));
  return AddChildren(directory.get(), request.name + "/", entries);
}

}  // namespace hull::archive
