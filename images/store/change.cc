// Names given and taken, images removed.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "images/digest/digest.h"
#include "images/store/assemble.h"
#include "images/store/collect.h"
#include "images/store/lookup.h"
#include "images/store/records.h"
#include "images/store/reference.h"
#include "images/store/store.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

constexpr size_t kShortId = 12;

std::string ShortId(std::string_view id) {
  return std::string(id.substr(id.starts_with("sha256:") ? 7 : 0, kShortId));
}

// "docker.io/library/busybox" of "docker.io/library/busybox:1".
std::string RepositoryOf(const std::string& full_name) {
  const Result<ImageName> name = ParseImageName(full_name);
  return name ? name->Repository() : full_name;
}

bool IsDigestName(const std::string& full_name) {
  return full_name.find('@') != std::string::npos;
}

std::vector<std::string> NamesOf(const NameTable& names, const std::string& id) {
  std::vector<std::string> of;
  for (const auto& [name, record] : names) {
    if (record.id == id) of.push_back(name);
  }
  return of;
}

// docker counts an image as having one name when its names are one tag at most, and digests of that
// tag's repository.
bool IsSingleName(const std::vector<std::string>& names) {
  if (names.size() <= 1) return true;
  size_t tags = 0;
  for (const std::string& name : names) {
    if (!IsDigestName(name)) ++tags;
    if (RepositoryOf(name) != RepositoryOf(names.front())) return false;
  }
  return tags <= 1;
}

const InUse::User* FindUser(const InUse& in_use, const std::string& id,
                            std::optional<bool> running) {
  for (const InUse::User& user : in_use.users) {
    if (user.image_id == id && (!running || user.running == *running)) return &user;
  }
  return nullptr;
}

// docker's words (its daemon's image_delete.go says when).
tl::unexpected<Error> Conflict(const std::string& id, bool hard, std::string_view why) {
  return Fail(ErrorCode::kFailed, "conflict: unable to delete {} ({}) - {}", ShortId(id),
              hard ? "cannot be forced" : "must be forced", why);
}

// A change of the names and records, from the reading of them to the writing. The store is locked
// while it lives.
class Change {
 public:
  static Result<Change> Begin(const StorePaths& paths, const InUseReader& reader) {
    HULL_TRY(MakeStore(paths));
    HULL_ASSIGN(ScratchDirectory scratch, ScratchDirectory::Make(paths.Scratch()));
    HULL_ASSIGN(FileLock lock, LockStore(paths));
    Change change(paths, std::move(scratch), std::move(lock));
    HULL_ASSIGN(change.names_, ReadNames(paths));
    if (reader) {
      HULL_ASSIGN(change.in_use_, reader());
      change.collects_ = true;
    }
    return change;
  }

  const NameTable& names() const { return names_; }
  const InUse& in_use() const { return in_use_; }
  const ScratchDirectory& scratch() const { return scratch_; }
  RemovalReport& report() { return report_; }

  void Untag(const std::string& name) {
    const auto entry = names_.find(name);
    if (entry == names_.end()) return;
    const NameRecord record = entry->second;
    names_.erase(entry);
    names_changed_ = true;
    report_.removals.push_back({Removal::Kind::kUntagged, FamiliarName(name)});
    // docker keeps a name by digest beside each tag; it goes with the repository's last one.
    if (IsDigestName(name)) return;
    const std::string repository = RepositoryOf(name);
    for (const auto& [other, other_record] : names_) {
      if (other_record.id == record.id && RepositoryOf(other) == repository) return;
    }
    report_.removals.push_back(
        {Removal::Kind::kUntagged, fmt::format("{}@{}", FamiliarName(repository), record.digest)});
  }

  // The image's record goes first: from then on it is not there, whatever is left of it.
  Status Delete(const std::string& id) {
    const std::string path = paths_.ImageFile(id);
    if (::unlink(path.c_str()) != 0) return FailErrno("remove {}", path);
    HULL_TRY(SyncDirectory(paths_.Images()));
    report_.removals.push_back({Removal::Kind::kDeleted, id});
    return {};
  }

  // Writes the names, and removes what is needed no more.
  Result<RemovalReport> Finish() && {
    if (names_changed_) HULL_TRY(PublishFile(scratch_.path(), paths_.Names(), EncodeNames(names_)));
    if (collects_) {
      HULL_ASSIGN(const Collected collected, CollectGarbage(paths_, scratch_, in_use_));
      report_.freed_bytes = collected.freed_bytes;
      for (const std::string& layer : collected.layers)
        report_.removals.push_back({Removal::Kind::kDeleted, layer});
    }
    ScratchDirectory::RemoveAbandoned(paths_.Scratch());
    FileLock::RemoveAbandoned(paths_.Locks());
    return std::move(report_);
  }

 private:
  Change(const StorePaths& paths, ScratchDirectory scratch, FileLock lock)
      : paths_(paths), scratch_(std::move(scratch)), lock_(std::move(lock)) {}

  const StorePaths& paths_;
  ScratchDirectory scratch_;
  FileLock lock_;
  NameTable names_;
  InUse in_use_;
  RemovalReport report_;
  bool names_changed_ = false;
  bool collects_ = false;
};

Status CheckMayGo(const Change& change, const std::string& id, bool force) {
  if (const InUse::User* user = FindUser(change.in_use(), id, true)) {
    return Conflict(
        id, true,
        fmt::format("image is being used by running container {}", ShortId(user->container_id)));
  }
  if (force) return {};
  if (!IsSingleName(NamesOf(change.names(), id)))
    return Conflict(id, false, "image is referenced in multiple repositories");
  if (const InUse::User* user = FindUser(change.in_use(), id, false)) {
    return Conflict(
        id, false,
        fmt::format("image is being used by stopped container {}", ShortId(user->container_id)));
  }
  return {};
}

Status RemoveByName(Change& change, const Found& found, std::string_view asked, bool force) {
  const InUse::User* user = FindUser(change.in_use(), found.id, std::nullopt);
  if (user != nullptr && !force && IsSingleName(NamesOf(change.names(), found.id))) {
    return Fail(
        ErrorCode::kFailed,
        "conflict: unable to remove repository reference \"{}\" (must force) - container {} "
        "is using its referenced image {}",
        EscapeControl(asked), ShortId(user->container_id), ShortId(found.id));
  }
  change.Untag(found.name);
  // Names by digest alone do not keep an image whose last tag went.
  const std::vector<std::string> left = NamesOf(change.names(), found.id);
  const bool tags_left = std::any_of(left.begin(), left.end(), [&](const std::string& name) {
    return !IsDigestName(name) || RepositoryOf(name) != RepositoryOf(found.name);
  });
  if (tags_left || (IsDigestName(found.name) && !left.empty())) return {};
  for (const std::string& name : left) change.Untag(name);
  // A container keeps the image, without a name.
  return user != nullptr ? Status() : change.Delete(found.id);
}

Status RemoveById(Change& change, const std::string& id, bool force) {
  HULL_TRY(CheckMayGo(change, id, force));
  for (const std::string& name : NamesOf(change.names(), id)) change.Untag(name);
  return change.Delete(id);
}

}  // namespace

Result<RemovalReport> Store::Remove(std::string_view name_or_id, bool force) {
  const StorePaths paths(root_);
  // A store that is not there is not made for this.
  HULL_ASSIGN(const NameTable names, ReadNames(paths));
  HULL_TRY(FindImage(paths, names, name_or_id));
  HULL_ASSIGN(Change change, Change::Begin(paths, in_use_));
  HULL_ASSIGN(const Found found, FindImage(paths, change.names(), name_or_id));
  HULL_TRY(found.name.empty() ? RemoveById(change, found.id, force)
                              : RemoveByName(change, found, name_or_id, force));
  return std::move(change).Finish();
}

Status Store::Tag(std::string_view name_or_id, std::string_view name) {
  const StorePaths paths(root_);
  HULL_ASSIGN(const ImageName given, ParseImageName(name));
  if (!given.digest.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "refusing to create a tag with a digest reference");
  }
  HULL_ASSIGN(const NameTable names, ReadNames(paths));
  HULL_TRY(FindImage(paths, names, name_or_id));
  HULL_ASSIGN(Change change, Change::Begin(paths, in_use_));
  HULL_ASSIGN(const Found found, FindImage(paths, change.names(), name_or_id));
  NameRecord record{found.id, found.digest};
  if (record.digest.empty()) {
    HULL_ASSIGN(const auto image, ReadImageRecord(paths, found.id));
    if (!image) return Fail(NoSuchImage(name_or_id));
    record.digest = image->manifest_digest;
  }
  HULL_TRY(GiveName(paths, change.scratch(), given.Full(), record));
  HULL_TRY(std::move(change).Finish());
  return {};
}

Result<RemovalReport> Store::Prune(const PruneOptions& options) {
  const StorePaths paths(root_);
  if (::access(paths.root().c_str(), F_OK) != 0) return RemovalReport();
  HULL_ASSIGN(const std::vector<Image> images, List());
  HULL_ASSIGN(Change change, Change::Begin(paths, in_use_));
  for (const Image& image : images) {
    const std::vector<std::string> names = NamesOf(change.names(), image.id);
    const bool tagged = std::any_of(names.begin(), names.end(),
                                    [](const std::string& name) { return !IsDigestName(name); });
    if (!options.all && tagged) continue;
    if (FindUser(change.in_use(), image.id, std::nullopt) != nullptr) continue;
    if (::access(paths.ImageFile(image.id).c_str(), F_OK) != 0) continue;
    if (options.matches && !options.matches(image)) continue;
    for (const std::string& name : names) change.Untag(name);
    HULL_TRY(change.Delete(image.id));
  }
  return std::move(change).Finish();
}

Status Store::Tidy() {
  const StorePaths paths(root_);
  if (!ScratchDirectory::Look(paths.Scratch()).abandoned) return {};
  if (::access(paths.Scratch().c_str(), W_OK) != 0) return {};
  HULL_ASSIGN(const ScratchDirectory scratch, ScratchDirectory::Make(paths.Scratch()));
  return FinishChange(paths, scratch, in_use_);
}

}  // namespace hull::images
