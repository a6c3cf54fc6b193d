#include "guest-agent/user.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>

#include "vmm/base/escape.h"
#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

namespace hull::agent {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{16} << 20;
// The kernel's NGROUPS_MAX.
constexpr size_t kMaxGroups = 65536;
// docker's, and older kernels', limit for a number given by hand.
constexpr uint64_t kMaxId = 0x7fffffff;

struct PasswdEntry {
  std::string_view name;
  uint32_t uid;
  uint32_t gid;
  std::string_view home;
};

struct GroupEntry {
  std::string_view name;
  uint32_t gid;
  std::string_view members;
};

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::optional<uint64_t> Number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size() || text.empty())
    return std::nullopt;
  return value;
}

// A number within a file: docker takes what is no number as 0; so would a hostile image make
// "root". Such lines are skipped here instead.
std::optional<uint32_t> FileId(std::string_view text) {
  const auto value = Number(text);
  if (!value || *value > 0xfffffffe) return std::nullopt;
  return static_cast<uint32_t>(*value);
}

template <size_t N>
std::array<std::string_view, N> Fields(std::string_view line) {
  std::array<std::string_view, N> fields;
  for (std::string_view& field : fields) {
    const size_t colon = line.find(':');
    field = line.substr(0, colon);
    line = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  }
  return fields;
}

// Calls `visit` with each line that is not empty or a comment, until it returns false.
template <typename Visit>
void EachLine(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    const std::string_view line = Trim(text.substr(0, newline));
    text = newline == std::string_view::npos ? std::string_view() : text.substr(newline + 1);
    if (line.empty() || line.front() == '#') continue;
    if (!visit(line)) return;
  }
}

// The first user of that name or number, in the order of the file.
std::optional<PasswdEntry> FindUser(std::string_view passwd, std::string_view name,
                                    std::optional<uint64_t> number) {
  std::optional<PasswdEntry> found;
  EachLine(passwd, [&](std::string_view line) {
    const auto fields = Fields<7>(line);
    const auto uid = FileId(fields[2]);
    const auto gid = FileId(fields[3]);
    if (!uid || !gid) return true;
    if ((name.empty() || fields[0] != name) && !(number && *number == *uid)) return true;
    found = PasswdEntry{fields[0], *uid, *gid, fields[5]};
    return false;
  });
  return found;
}

template <typename Visit>
void EachGroup(std::string_view group, Visit visit) {
  EachLine(group, [&](std::string_view line) {
    const auto fields = Fields<4>(line);
    const auto gid = FileId(fields[2]);
    return !gid || visit(GroupEntry{fields[0], *gid, fields[3]});
  });
}

bool HasMember(std::string_view members, std::string_view name) {
  while (!members.empty()) {
    const size_t comma = members.find(',');
    if (members.substr(0, comma) == name) return true;
    if (comma == std::string_view::npos) return false;
    members.remove_prefix(comma + 1);
  }
  return false;
}

Result<uint32_t> FindGroup(std::string_view group, std::string_view name) {
  const auto number = Number(name);
  std::optional<uint32_t> found;
  EachGroup(group, [&](const GroupEntry& entry) {
    if (entry.name != name && !(number && *number == entry.gid)) return true;
    found = entry.gid;
    return false;
  });
  if (found) return *found;
  if (!number) {
    return Fail(ErrorCode::kInvalidArgument,
                "unable to find group {}: no matching entries in group file", EscapeControl(name));
  }
  if (*number > kMaxId) {
    return Fail(ErrorCode::kInvalidArgument, "group {} is not within 0 to {}", *number, kMaxId);
  }
  return static_cast<uint32_t>(*number);
}

Result<std::string> ReadBelow(int root, const char* path) {
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof(how))));
  if (!fd.valid()) {
    if (errno == ENOENT || errno == ENOTDIR) return std::string();
    return FailErrno("open the container's /{}", path);
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return FailErrno("examine the container's /{}", path);
  if (!S_ISREG(status.st_mode)) {
    return Fail(ErrorCode::kInvalidArgument, "the container's /{} is not a regular file", path);
  }
  std::string text;
  char bytes[4096];
  ssize_t size = 0;
  while ((size = ::read(fd.get(), bytes, sizeof(bytes))) > 0) {
    text.append(bytes, static_cast<size_t>(size));
    if (text.size() > kMaxFileBytes) {
      return Fail(ErrorCode::kExhausted, "the container's /{} is larger than 16 MiB", path);
    }
  }
  if (size < 0) return FailErrno("read the container's /{}", path);
  return text;
}

}  // namespace

Result<AccountFiles> ReadAccountFiles(const std::string& rootfs) {
  HULL_ASSIGN(const UniqueFd root, OpenFile(rootfs, O_PATH | O_DIRECTORY));
  AccountFiles files;
  HULL_ASSIGN(files.passwd, ReadBelow(root.get(), "etc/passwd"));
  HULL_ASSIGN(files.group, ReadBelow(root.get(), "etc/group"));
  return files;
}

std::string NameOfUser(const AccountFiles& files, uint32_t user) {
  const auto entry = FindUser(files.passwd, "", user);
  return entry ? std::string(entry->name) : std::string();
}

std::string NameOfGroup(const AccountFiles& files, uint32_t group) {
  std::string name;
  EachGroup(files.group, [&](const GroupEntry& entry) {
    if (entry.gid == group) name = std::string(entry.name);
    return name.empty();
  });
  return name;
}

Result<std::vector<uint32_t>> ResolveGroups(const AccountFiles& files,
                                            const std::vector<std::string>& groups) {
  std::vector<uint32_t> numbers;
  if (groups.size() > kMaxGroups) {
    return Fail(ErrorCode::kInvalidArgument, "{} additional groups", groups.size());
  }
  for (const std::string& group : groups) {
    HULL_ASSIGN(const uint32_t number, FindGroup(files.group, group));
    numbers.push_back(number);
  }
  return numbers;
}

Result<Identity> ResolveUser(const AccountFiles& files, std::string_view user,
                             const std::vector<std::string>& additional) {
  const size_t colon = user.find(':');
  const std::string_view user_part = user.substr(0, colon);
  const std::string_view group_part =
      colon == std::string_view::npos ? std::string_view() : user.substr(colon + 1);
  Identity identity;

  const std::optional<uint64_t> number = user_part.empty() ? uint64_t{0} : Number(user_part);
  const auto entry = FindUser(files.passwd, user_part, number);
  if (entry) {
    identity.uid = entry->uid;
    identity.gid = entry->gid;
    if (!entry->home.empty()) identity.home = std::string(entry->home);
  } else if (!number) {
    return Fail(ErrorCode::kInvalidArgument,
                "unable to find user {}: no matching entries in passwd file",
                EscapeControl(user_part));
  } else if (*number > kMaxId) {
    return Fail(ErrorCode::kInvalidArgument, "user {} is not within 0 to {}", *number, kMaxId);
  } else {
    identity.uid = static_cast<uint32_t>(*number);
  }

  std::vector<uint32_t> groups;
  if (!group_part.empty()) {
    HULL_ASSIGN(identity.gid, FindGroup(files.group, group_part));
  } else if (entry) {
    EachGroup(files.group, [&](const GroupEntry& group) {
      if (HasMember(group.members, entry->name)) groups.push_back(group.gid);
      return groups.size() < kMaxGroups;
    });
  }
  HULL_ASSIGN(const std::vector<uint32_t> more, ResolveGroups(files, additional));
  groups.insert(groups.end(), more.begin(), more.end());

  identity.groups.push_back(identity.gid);
  for (const uint32_t group : groups) {
    if (std::find(identity.groups.begin(), identity.groups.end(), group) == identity.groups.end()) {
      identity.groups.push_back(group);
    }
  }
  return identity;
}

}  // namespace hull::agent
