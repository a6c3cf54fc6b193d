#include "guest-agent/archive/tree_sink.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::archive {
namespace {

constexpr size_t kMaxWarnings = 100;
// Directories whose times are set at the end, when nothing is made in them any more.
constexpr size_t kMaxDirectories = 1'000'000;

struct ReadFree {
  void operator()(struct archive* reader) const { archive_read_free(reader); }
};

struct Attributes {
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
};

class Extractor {
 public:
  Extractor(int root, const SinkRequest& request, TarSource source)
      : root_(root), request_(request), source_(std::move(source)) {}

  Result<SinkReport> Run();

 private:
  struct Place {
    int parent;  // good until the next Find
    std::string name;
    std::string path;
  };

  static la_ssize_t Read(struct archive* reader, void* self, const void** data);
  tl::unexpected<Error> ReadError(std::string_view path);
  Result<archive_entry*> NextEntry();
  Status Extract(archive_entry* entry);
  Status MakeEntry(archive_entry* entry, const Place& place, const Attributes& attributes);
  Status MakeDirectory(const Place& place, const Attributes& attributes, bool exists);
  Status MakeFile(archive_entry* entry, const Place& place, const Attributes& attributes);
  Status MakeHardLink(const Place& place, const std::string& target);
  Status MakeNode(archive_entry* entry, const Place& place, const Attributes& attributes);
  Status CopyData(archive_entry* entry, int file, std::string_view path);
  Status ClearWay(const Place& place, bool directory, bool* exists);
  Status SetFile(int file, archive_entry* entry, const Attributes& attributes);
  Status SetByName(const Place& place, const Attributes& attributes);
  Status FinishDirectories();

  Status CheckAsked(const std::vector<std::string>& parts, std::string_view path) const;
  Result<Place> Find(const std::string& path);
  Result<UniqueFd> OpenParent(const std::vector<std::string>& parts, size_t count);
  Attributes AttributesOf(archive_entry* entry) const;
  bool owns() const { return request_.keep_owner || request_.own_by_root; }
  void Warn(std::string_view path, std::string_view why);

  const int root_;
  const SinkRequest request_;
  TarSource source_;
  std::optional<Error> source_error_;
  std::unique_ptr<struct archive, ReadFree> reader_;
  UniqueFd target_;
  std::string parent_path_;
  UniqueFd parent_;
  std::vector<std::pair<std::string, Attributes>> directories_;
  SinkReport report_;
};

la_ssize_t Extractor::Read(struct archive* reader, void* self, const void** data) {
  auto* extractor = static_cast<Extractor*>(self);
  Result<std::span<const std::byte>> piece = extractor->source_();
  if (!piece) {
    extractor->source_error_ = std::move(piece).error();
    archive_set_error(reader, EIO, "read");
    return -1;
  }
  *data = piece->data();
  return static_cast<la_ssize_t>(piece->size());
}

void Extractor::Warn(std::string_view path, std::string_view why) {
  if (report_.warnings.size() < kMaxWarnings) {
    report_.warnings.push_back(fmt::format("{}: {}", EscapeControl(path), why));
  }
}

tl::unexpected<Error> Extractor::ReadError(std::string_view path) {
  if (source_error_) return Fail(*std::move(source_error_));
  const char* message = archive_error_string(reader_.get());
  Error error(ErrorCode::kCorrupt, fmt::format("the tar is damaged: {}",
                                               message != nullptr ? message : "it ends early"));
  if (!path.empty()) error = std::move(error).Within(EscapeControl(path));
  return Fail(std::move(error));
}

// Null at the end. A warning is let pass: in the C locale, which keeps names as the bytes they are,
// libarchive warns of every name that is not ASCII.
Result<archive_entry*> Extractor::NextEntry() {
  archive_entry* entry = nullptr;
  const int status = archive_read_next_header(reader_.get(), &entry);
  if (status == ARCHIVE_EOF) return nullptr;
  if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return ReadError("");
  return entry;
}

// The directory of the first `count` parts; missing ones are made.
Result<UniqueFd> Extractor::OpenParent(const std::vector<std::string>& parts, size_t count) {
  std::string path = ".";
  for (size_t i = 0; i < count; ++i) path += "/" + parts[i];
  Result<UniqueFd> found = OpenInRoot(target_.get(), path, O_PATH | O_DIRECTORY, request_.links);
  if (found || found.error().error_number() != ENOENT || count == 0) return found;
  HULL_ASSIGN(const UniqueFd above, OpenParent(parts, count - 1));
  if (::mkdirat(above.get(), parts[count - 1].c_str(), 0755) != 0 && errno != EEXIST) {
    return FailErrno("make the directory {}", EscapeControl(path));
  }
  return OpenInRoot(target_.get(), path, O_PATH | O_DIRECTORY, request_.links);
}

Status Extractor::CheckAsked(const std::vector<std::string>& parts, std::string_view path) const {
  if (request_.only.empty() || (!parts.empty() && parts.front() == request_.only)) return {};
  return Fail(ErrorCode::kCorrupt, "the tar has {}, which was not asked for", EscapeControl(path));
}

Result<Extractor::Place> Extractor::Find(const std::string& path) {
  HULL_ASSIGN(const std::vector<std::string> parts, SplitPath(path));
  HULL_TRY(CheckAsked(parts, path));
  if (parts.empty()) return Place{target_.get(), ".", "."};
  std::string parent;
  for (size_t i = 0; i + 1 < parts.size(); ++i) parent += parts[i] + "/";
  // Mostly the directory of the entry before. That it may have been renamed since does no harm:
  // it is still below the root.
  if (!parent_.valid() || parent != parent_path_) {
    HULL_ASSIGN(parent_, OpenParent(parts, parts.size() - 1));
    parent_path_ = parent;
  }
  return Place{parent_.get(), parts.back(), parent + parts.back()};
}

Attributes Extractor::AttributesOf(archive_entry* entry) const {
  Attributes attributes;
  attributes.mode = archive_entry_mode(entry);
  if (request_.distrust && !request_.keep_owner) {
    attributes.mode &= ~static_cast<mode_t>(S_ISUID | S_ISGID);
  }
  if (request_.keep_owner) {
    attributes.uid = static_cast<uid_t>(archive_entry_uid(entry));
    attributes.gid = static_cast<gid_t>(archive_entry_gid(entry));
  }
  if (archive_entry_mtime_is_set(entry) != 0) {
    attributes.times[1] = {archive_entry_mtime(entry),
                           archive_entry_mtime_nsec(entry) % 1'000'000'000};
  }
  return attributes;
}

// Removes what stands where an entry is to be, unless one of both is a directory.
Status Extractor::ClearWay(const Place& place, bool directory, bool* exists) {
  struct stat status {};
  *exists = ::fstatat(place.parent, place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
  if (!*exists) return {};
  if (directory && S_ISDIR(status.st_mode)) return {};
  if (directory) {
    return Fail(ErrorCode::kUnavailable, "cannot overwrite non-directory \"{}\" with directory",
                EscapeControl(place.path));
  }
  if (S_ISDIR(status.st_mode)) {
    return Fail(ErrorCode::kUnavailable, "cannot overwrite directory \"{}\" with non-directory",
                EscapeControl(place.path));
  }
  if (::unlinkat(place.parent, place.name.c_str(), 0) == 0) *exists = false;
  // A bound file (/etc/hosts) cannot be removed, but can be written; others fail in a moment.
  else if (errno != EBUSY)
    return FailErrno("replace {}", EscapeControl(place.path));
  return {};
}

Status Extractor::SetFile(int file, archive_entry* entry, const Attributes& attributes) {
  if (owns() && ::fchown(file, attributes.uid, attributes.gid) != 0) {
    return FailErrno("give it to {}:{}", attributes.uid, attributes.gid);
  }
  // After the owner: changing that takes the set-user-id bits away.
  if (::fchmod(file, attributes.mode & 07777) != 0) return FailErrno("set its mode");
  archive_entry_xattr_reset(entry);
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    const std::string_view key = name;
    if (request_.distrust ? !key.starts_with("user.")
                          : !key.starts_with("user.") && key != "security.capability" &&
                                !key.starts_with("system.posix_acl_")) {
      continue;
    }
    // A file system without attributes loses them, as cp and tar do.
    if (::fsetxattr(file, name, value, size, 0) != 0 && errno != ENOTSUP && errno != EPERM) {
      return FailErrno("set its attribute {}", EscapeControl(key));
    }
  }
  if (::futimens(file, attributes.times) != 0) return FailErrno("set its time");
  return {};
}

// For what cannot be opened without consequences: links and devices.
Status Extractor::SetByName(const Place& place, const Attributes& attributes) {
  if (owns() && ::fchownat(place.parent, place.name.c_str(), attributes.uid, attributes.gid,
                           AT_SYMLINK_NOFOLLOW) != 0) {
    return FailErrno("give {} to {}:{}", EscapeControl(place.path), attributes.uid, attributes.gid);
  }
  if (::utimensat(place.parent, place.name.c_str(), attributes.times, AT_SYMLINK_NOFOLLOW) != 0) {
    return FailErrno("set the time of {}", EscapeControl(place.path));
  }
  return {};
}

Status Extractor::MakeDirectory(const Place& place, const Attributes& attributes, bool exists) {
  if (!exists && ::mkdirat(place.parent, place.name.c_str(), 0700) != 0) {
    return FailErrno("make the directory {}", EscapeControl(place.path));
  }
  if (directories_.size() >= kMaxDirectories) {
    return Fail(ErrorCode::kExhausted, "the tar has more than {} directories", kMaxDirectories);
  }
  directories_.emplace_back(place.path, attributes);
  return {};
}

Status Extractor::CopyData(archive_entry* entry, int file, std::string_view path) {
  for (;;) {
    const void* data = nullptr;
    size_t bytes = 0;
    la_int64_t offset = 0;
    const int status = archive_read_data_block(reader_.get(), &data, &bytes, &offset);
    if (status == ARCHIVE_EOF) break;
    if (status != ARCHIVE_OK) return ReadError(path);
    const auto* next = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t written = ::pwrite(file, next, bytes, offset);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return FailErrno("write {}", EscapeControl(path));
      next += written;
      offset += written;
      bytes -= static_cast<size_t>(written);
    }
  }
  // A hole at the end.
  if (::ftruncate(file, archive_entry_size(entry)) != 0) {
    return FailErrno("write {}", EscapeControl(path));
  }
  return {};
}

Status Extractor::MakeFile(archive_entry* entry, const Place& place, const Attributes& attributes) {
  if (archive_entry_size(entry) < 0) {
    return Fail(ErrorCode::kCorrupt, "{} has a negative size", EscapeControl(place.path));
  }
  int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  int file = ::openat(place.parent, place.name.c_str(), flags, 0600);
  if (file < 0 && errno == EEXIST) {
    flags = O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    file = ::openat(place.parent, place.name.c_str(), flags);
  }
  if (file < 0) return FailErrno("make {}", EscapeControl(place.path));
  const UniqueFd owned(file);
  HULL_TRY(CopyData(entry, file, place.path));
  HULL_TRY_WITHIN(EscapeControl(place.path), SetFile(file, entry, attributes));
  return {};
}

Status Extractor::MakeHardLink(const Place& place, const std::string& target) {
  HULL_ASSIGN(const std::vector<std::string> parts, SplitPath(target));
  if (parts.empty()) return Fail(ErrorCode::kCorrupt, "a hard link to the directory itself");
  HULL_TRY(CheckAsked(parts, target));
  HULL_ASSIGN(const UniqueFd parent, OpenParent(parts, parts.size() - 1));
  if (::linkat(parent.get(), parts.back().c_str(), place.parent, place.name.c_str(), 0) != 0) {
    return FailErrno("link {} to {}", EscapeControl(place.path), EscapeControl(target));
  }
  return {};
}

Status Extractor::MakeNode(archive_entry* entry, const Place& place, const Attributes& attributes) {
  const mode_t type = attributes.mode & S_IFMT;
  dev_t device = 0;
  if (type != S_IFIFO) {
    if (request_.distrust) {
      Warn(place.path, "a device of a container is not made on the host");
      return {};
    }
    device = makedev(static_cast<unsigned>(archive_entry_rdevmajor(entry)),
                     static_cast<unsigned>(archive_entry_rdevminor(entry)));
  }
  if (::mknodat(place.parent, place.name.c_str(), type | 0600, device) != 0) {
    return FailErrno("make {}", EscapeControl(place.path));
  }
  HULL_TRY(SetByName(place, attributes));
  // No link can be there: it was just made; and a mode on a foreign inode stays in the root.
  if (::fchmodat(place.parent, place.name.c_str(), attributes.mode & 07777, 0) != 0) {
    return FailErrno("set the mode of {}", EscapeControl(place.path));
  }
  return {};
}

Status Extractor::MakeEntry(archive_entry* entry, const Place& place,
                            const Attributes& attributes) {
  switch (attributes.mode & S_IFMT) {
    case S_IFREG:
      return MakeFile(entry, place, attributes);
    case S_IFLNK: {
      const char* target = archive_entry_symlink(entry);
      if (target == nullptr || *target == '\0' || std::string_view(target).size() >= PATH_MAX) {
        return Fail(ErrorCode::kCorrupt, "{} is a symbolic link with an impossible target",
                    EscapeControl(place.path));
      }
      if (::symlinkat(target, place.parent, place.name.c_str()) != 0) {
        return FailErrno("make the link {}", EscapeControl(place.path));
      }
      return SetByName(place, attributes);
    }
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
      return MakeNode(entry, place, attributes);
    default:
      return Fail(ErrorCode::kCorrupt, "{} is of a type that tar does not have: {:o}",
                  EscapeControl(place.path), attributes.mode & S_IFMT);
  }
}

Status Extractor::Extract(archive_entry* entry) {
  const char* raw_path = archive_entry_pathname(entry);
  if (raw_path == nullptr) return Fail(ErrorCode::kCorrupt, "the tar has an entry without a name");
  const std::string path = raw_path;
  HULL_ASSIGN(const Place place, Find(path));
  const Attributes attributes = AttributesOf(entry);
  const char* hard_link = archive_entry_hardlink(entry);
  const bool directory = hard_link == nullptr && S_ISDIR(attributes.mode);
  if (place.name == "." && !directory) {
    return Fail(ErrorCode::kCorrupt, "the tar's entry for its own top is no directory");
  }
  ++report_.entries;
  bool exists = false;
  HULL_TRY(ClearWay(place, directory, &exists));
  if (directory) {
    // The directory that is extracted into keeps what it has.
    if (place.name == ".") return {};
    return MakeDirectory(place, attributes, exists);
  }
  if (hard_link != nullptr) return MakeHardLink(place, hard_link);
  return MakeEntry(entry, place, attributes);
}

Status Extractor::FinishDirectories() {
  // The deepest first: setting the mode of one may end our own right to enter it.
  for (auto entry = directories_.rbegin(); entry != directories_.rend(); ++entry) {
    const auto& [path, attributes] = *entry;
    const Result<UniqueFd> directory =
        OpenInRoot(target_.get(), "./" + path, O_RDONLY | O_DIRECTORY, request_.links);
    if (!directory) {
      // Replaced by a later entry, or by somebody else.
      Warn(path, "is no directory any more");
      continue;
    }
    const int fd = directory->get();
    if ((owns() && ::fchown(fd, attributes.uid, attributes.gid) != 0) ||
        ::fchmod(fd, attributes.mode & 07777) != 0 || ::futimens(fd, attributes.times) != 0) {
      return FailErrno("set owner, mode and time of {}", EscapeControl(path));
    }
  }
  return {};
}

Result<SinkReport> Extractor::Run() {
  HULL_ASSIGN(target_, OpenInRoot(root_, request_.path, O_PATH | O_DIRECTORY, Links::kInRoot));
  reader_.reset(archive_read_new());
  if (reader_ == nullptr || archive_read_support_format_tar(reader_.get()) != ARCHIVE_OK ||
      archive_read_support_format_empty(reader_.get()) != ARCHIVE_OK) {
    return Fail(ErrorCode::kExhausted, "no memory to read the tar with");
  }
  if (archive_read_open(reader_.get(), this, nullptr, &Extractor::Read, nullptr) != ARCHIVE_OK) {
    return ReadError("");
  }
  for (;;) {
    HULL_ASSIGN(archive_entry * entry, NextEntry());
    if (entry == nullptr) break;
    HULL_TRY(Extract(entry));
  }
  if (!request_.only.empty() && report_.entries == 0) {
    return Fail(ErrorCode::kCorrupt, "the tar is empty");
  }
  HULL_TRY(FinishDirectories());
  // Behind the tar's end mark: padding.
  for (;;) {
    HULL_ASSIGN(const std::span<const std::byte> rest, source_());
    if (rest.empty()) break;
  }
  return std::move(report_);
}

}  // namespace

Result<SinkReport> ExtractTree(int root, const SinkRequest& request, TarSource source) {
  return Extractor(root, request, std::move(source)).Run();
}

}  // namespace hull::archive
