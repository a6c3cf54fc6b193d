#include "guest-agent/archive/layer_changes.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "vmm/base/escape.h"

namespace hull::archive {
namespace {

constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr char kOpaqueName[] = ".wh..wh..opq";
constexpr char kOpaqueAttribute[] = "trusted.overlay.opaque";

bool IsWhiteout(const struct stat& status) {
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
}

bool SameDirectory(const struct stat& a, const struct stat& b) {
  return a.st_mode == b.st_mode && a.st_uid == b.st_uid && a.st_gid == b.st_gid;
}

bool SameTime(const struct stat& a, const struct stat& b) {
  return a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

std::optional<struct stat> StatBelow(int lower, const std::string& name) {
  struct stat status {};
  if (lower < 0 || ::fstatat(lower, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return {};
  return status;
}

class Walker {
 public:
  Walker(const ChangesRequest& request, ChangesVisitor& visitor)
      : request_(request), visitor_(visitor) {}

  // `lower` is -1 where nothing below shows through. Tells whether there are mount points in it.
  Result<bool> Walk(int upper, int lower, const std::string& path);

 private:
  using Change = ChangesVisitor::Change;
  // A directory on the way that is told of only if something in it is.
  struct Waiting {
    Change change;
    bool told = false;
  };

  Result<bool> VisitDirectory(Change change, const std::optional<struct stat>& below, int lower);
  Status VisitHidden(int upper, int lower, const std::string& path);
  Status TellWaiting();
  Status Tell(const Change& change) {
    HULL_TRY(TellWaiting());
    return visitor_.Visit(change);
  }

  const ChangesRequest& request_;
  ChangesVisitor& visitor_;
  std::vector<Waiting> waiting_;
};

Status Walker::TellWaiting() {
  for (Waiting& waiting : waiting_) {
    if (waiting.told) continue;
    waiting.told = true;
    HULL_TRY(visitor_.Visit(waiting.change));
  }
  return {};
}

// What an opaque directory hides, and does not have itself.
Status Walker::VisitHidden(int upper, int lower, const std::string& path) {
  HULL_ASSIGN(const std::vector<std::string> names, ListDirectory(lower));
  for (const std::string& name : names) {
    if (StatBelow(upper, name)) continue;
    HULL_TRY(Tell({ChangeKind::kDeleted, path + "/" + name, -1, name, {}, true}));
  }
  return {};
}

Result<bool> Walker::VisitDirectory(Change change, const std::optional<struct stat>& below,
                                    int lower) {
  HULL_ASSIGN(const UniqueFd directory, OpenDirectoryAt(change.parent, change.name));
  UniqueFd directory_below;
  const bool merged = below && S_ISDIR(below->st_mode);
  if (merged) {
    HULL_ASSIGN(directory_below, OpenDirectoryAt(lower, change.name));
    change.opaque = AttributeAt(change.parent, change.name, kOpaqueAttribute) == "y";
  }
  const std::string path = change.path;
  waiting_.push_back({change});
  if (below && (change.opaque || !SameDirectory(change.status, *below))) HULL_TRY(TellWaiting());
  if (change.opaque) HULL_TRY(VisitHidden(directory.get(), directory_below.get(), path));
  HULL_ASSIGN(const bool mounts, Walk(directory.get(), directory_below.get(), path));
  // Nothing in it has changed. If it is new, or its time tells that something was made in it and
  // removed again, it has changed itself, unless that was a mount point.
  if (!mounts && (!below || !SameTime(change.status, *below))) HULL_TRY(TellWaiting());
  waiting_.pop_back();
  return mounts;
}

Result<bool> Walker::Walk(int upper, int lower, const std::string& path) {
  bool mounts = false;
  HULL_ASSIGN(const std::vector<std::string> names, ListDirectory(upper));
  for (const std::string& name : names) {
    Change change{ChangeKind::kChanged, path + "/" + name, upper, name, {}, false};
    if (request_.mount_points.contains(change.path)) {
      mounts = true;
      continue;
    }
    if (change.path.size() >= PATH_MAX - 1) {
      return Fail(ErrorCode::kExhausted, "{}...: the path is longer than {} bytes",
                  EscapeControl(change.path.substr(0, 100)), PATH_MAX - 2);
    }
    if (::fstatat(upper, name.c_str(), &change.status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;  // gone since
      return FailErrno("look at {}", EscapeControl(change.path));
    }
    const std::optional<struct stat> below = StatBelow(lower, name);
    if (!below) change.kind = ChangeKind::kAdded;
    if (S_ISDIR(change.status.st_mode)) {
      HULL_ASSIGN(const bool inside, VisitDirectory(std::move(change), below, lower));
      mounts = mounts || inside;
      continue;
    }
    if (IsWhiteout(change.status)) {
      if (!below) continue;
      change.kind = ChangeKind::kDeleted;
    }
    HULL_TRY(Tell(change));
  }
  return mounts;
}

class ListVisitor final : public ChangesVisitor {
 public:
  explicit ListVisitor(const TarWriter::Sink& sink) : sink_(sink) {}
  Status Visit(const Change& change) override {
    ++entries_;
    std::string record(1, static_cast<char>(change.kind));
    record.append(change.path).push_back('\0');
    return sink_(std::as_bytes(std::span(record.data(), record.size())));
  }
  uint64_t entries() const { return entries_; }

 private:
  const TarWriter::Sink& sink_;
  uint64_t entries_ = 0;
};

class LayerVisitor final : public ChangesVisitor {
 public:
  LayerVisitor(TarWriter& tar, EntryWriter& entries) : tar_(tar), entries_(entries) {}

  Status Visit(const Change& change) override {
    const std::string path = change.path.substr(1);
    if (change.kind == ChangeKind::kDeleted) {
      if (change.opaque) return {};  // the marker in the directory says so
      return Mark(path.substr(0, path.size() - change.name.size()) + std::string(kWhiteoutPrefix) +
                  change.name);
    }
    if (std::string_view(change.name).starts_with(kWhiteoutPrefix)) {
      // In a layer it would remove another file instead of being one.
      entries_.Warn(
          fmt::format("{}: a layer cannot hold a file of this name", EscapeControl(change.path)));
      return {};
    }
    HULL_TRY(entries_.Add(change.parent, change.name, path, change.status));
    return change.opaque ? Mark(path + "/" + kOpaqueName) : Status();
  }

 private:
  Status Mark(const std::string& path) {
    Entry entry;
    entry.path = path;
    entry.mode = S_IFREG;
    return tar_.Begin(entry);
  }

  TarWriter& tar_;
  EntryWriter& entries_;
};

}  // namespace

Status VisitChanges(const ChangesRequest& request, ChangesVisitor& visitor) {
  HULL_TRY(Walker(request, visitor).Walk(request.upper, request.lower, ""));
  return {};
}

Status ListChanges(const ChangesRequest& request, const TarWriter::Sink& sink, uint64_t* entries) {
  ListVisitor visitor(sink);
  HULL_TRY(VisitChanges(request, visitor));
  *entries = visitor.entries();
  return {};
}

Status AddChanges(const ChangesRequest& request, TarWriter& tar, EntryWriter& entries) {
  LayerVisitor visitor(tar, entries);
  return VisitChanges(request, visitor);
}

}  // namespace hull::archive
