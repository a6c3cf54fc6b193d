#include "runtime/tmpfs_options.h"

#include <algorithm>
#include <optional>

#include "vmm/base/escape.h"

namespace hull {
namespace {

struct Flag {
  std::string_view name;
  std::string_view group;  // of each group one counts, the last
};
// mount(8)'s words for the flags of mount(2) that docker takes.
constexpr Flag kFlags[] = {{"defaults", ""},
                           {"ro", "ro"},
                           {"rw", "ro"},
                           {"suid", "suid"},
                           {"nosuid", "suid"},
                           {"dev", "dev"},
                           {"nodev", "dev"},
                           {"exec", "exec"},
                           {"noexec", "exec"},
                           {"sync", "sync"},
                           {"async", "sync"},
                           {"dirsync", "dirsync"},
                           {"mand", "mand"},
                           {"nomand", "mand"},
                           {"atime", "atime"},
                           {"noatime", "atime"},
                           {"diratime", "diratime"},
                           {"nodiratime", "diratime"},
                           {"relatime", "relatime"},
                           {"norelatime", "relatime"},
                           {"strictatime", "strict"},
                           {"nostrictatime", "strict"},
                           {"bind", "bind"},
                           {"rbind", "rbind"},
                           {"remount", "remount"},
                           {"private", "propagation"},
                           {"rprivate", "propagation"},
                           {"shared", "propagation"},
                           {"rshared", "propagation"},
                           {"slave", "propagation"},
                           {"rslave", "propagation"},
                           {"unbindable", "propagation"},
                           {"runbindable", "propagation"}};
constexpr std::string_view kDataNames[] = {"mode",      "uid",       "gid", "size",
                                           "nr_inodes", "nr_blocks", "mpol"};
// They would make it another mount than a tmpfs of its own.
constexpr std::string_view kOtherMounts[] = {"bind", "rbind", "remount"};

std::vector<std::string_view> Split(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    words.push_back(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return words;
}

// What of several like it only one can count; nullopt: no option of a tmpfs.
std::optional<std::string_view> GroupOf(std::string_view option) {
  for (const Flag& flag : kFlags) {
    if (flag.name == option) return flag.group;
  }
  const size_t equals = option.find('=');
  const std::string_view name = option.substr(0, equals);
  if (equals == std::string_view::npos ||
      std::find(std::begin(kDataNames), std::end(kDataNames), name) == std::end(kDataNames)) {
    return std::nullopt;
  }
  return name;
}

std::string QuotedList(std::string_view option) {
  const size_t equals = option.find('=');
  if (equals == std::string_view::npos) return fmt::format("[\"{}\"]", EscapeControl(option));
  return fmt::format("[\"{}\" \"{}\"]", EscapeControl(option.substr(0, equals)),
                     EscapeControl(option.substr(equals + 1)));
}

}  // namespace

Result<std::vector<std::string>> TmpfsMountOptions(std::string_view options) {
  std::vector<std::string_view> words = {"noexec", "nosuid", "nodev"};
  const std::vector<std::string_view> own = Split(options);
  words.insert(words.end(), own.begin(), own.end());
  std::vector<std::string> merged;
  std::vector<std::string_view> seen;
  for (auto word = words.rbegin(); word != words.rend(); ++word) {
    const std::optional<std::string_view> group = GroupOf(*word);
    const bool is_other = std::find(std::begin(kOtherMounts), std::end(kOtherMounts), *word) !=
                          std::end(kOtherMounts);
    if (!group || is_other) {
      return Fail(ErrorCode::kInvalidArgument, "invalid tmpfs option {}", QuotedList(*word));
    }
    if (group->empty() || std::find(seen.begin(), seen.end(), *group) != seen.end()) continue;
    seen.push_back(*group);
    merged.emplace_back(*word);
  }
  std::reverse(merged.begin(), merged.end());
  return merged;
}

Status AddTmpfs(std::string_view text, std::vector<TmpfsMount>& mounts) {
  const size_t colon = text.find(':');
  TmpfsMount mount;
  mount.destination = std::string(text.substr(0, colon));
  if (colon != std::string_view::npos) mount.options = std::string(text.substr(colon + 1));
  if (!mount.destination.starts_with('/')) {
    return Fail(ErrorCode::kInvalidArgument, "invalid mount path: '{}' mount path must be absolute",
                EscapeControl(mount.destination));
  }
  if (mount.destination.find_first_not_of("/.") == std::string::npos) {
    return Fail(ErrorCode::kInvalidArgument, "invalid specification: destination can't be '/'");
  }
  HULL_TRY(TmpfsMountOptions(mount.options));
  const auto found = std::find_if(mounts.begin(), mounts.end(), [&](const TmpfsMount& other) {
    return other.destination == mount.destination;
  });
  if (found != mounts.end()) {
    *found = std::move(mount);
  } else {
    mounts.push_back(std::move(mount));
  }
  return {};
}

}  // namespace hull
