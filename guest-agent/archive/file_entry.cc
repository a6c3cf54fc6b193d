#include "guest-agent/archive/file_entry.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "vmm/base/escape.h"

namespace hull::archive {
namespace {

constexpr size_t kMaxWarnings = 100;
// A file with more pieces than this is sent with its holes as zeros: the list is held in memory.
constexpr size_t kMaxSegments = 4096;
constexpr size_t kMaxAttributeBytes = 65536;  // the kernel's XATTR_SIZE_MAX
constexpr size_t kCopyBytes = 64 * 1024;

// Of a file's attributes those that belong to it wherever it goes. Not trusted.*: it is the
// overlay's own.
bool IsPortable(std::string_view name) {
  return name.starts_with("user.") || name == "security.capability" ||
         name == "system.posix_acl_access" || name == "system.posix_acl_default";
}

// A name below a directory that is open, for calls that know no directories: the link in /proc is
// not used, because a container may have no /proc. Attributes therefore come from an open file.
void ReadAttributes(int file, Entry& entry) {
  std::array<char, kMaxAttributeBytes> names{};
  const ssize_t listed = ::flistxattr(file, names.data(), names.size());
  for (ssize_t at = 0; at < listed;) {
    const std::string name(&names[static_cast<size_t>(at)]);
    at += static_cast<ssize_t>(name.size()) + 1;
    if (!IsPortable(name)) continue;
    std::string value(kMaxAttributeBytes, '\0');
    const ssize_t size = ::fgetxattr(file, name.c_str(), value.data(), value.size());
    if (size < 0) continue;
    value.resize(static_cast<size_t>(size));
    entry.xattrs.emplace_back(name, std::move(value));
  }
}

Result<std::string> ReadLinkAt(int parent, const std::string& name) {
  std::string target(PATH_MAX, '\0');
  const ssize_t size = ::readlinkat(parent, name.c_str(), target.data(), target.size());
  if (size < 0) return FailErrno("read the link {}", EscapeControl(name));
  target.resize(static_cast<size_t>(size));
  return target;
}

// Where a file has data. Nothing found, or too much of it: one segment, not sparse.
void FindSegments(int file, const struct stat& status, Entry& entry) {
  const auto size = static_cast<uint64_t>(status.st_size);
  if (static_cast<uint64_t>(status.st_blocks) * 512 >= size) return;
  off_t at = 0;
  while (entry.segments.size() <= kMaxSegments) {
    const off_t data = ::lseek(file, at, SEEK_DATA);
    if (data < 0 && errno != ENXIO) break;
    if (data < 0 || static_cast<uint64_t>(data) >= size) {
      entry.sparse = true;
      return;
    }
    const off_t hole = ::lseek(file, data, SEEK_HOLE);
    const off_t end = hole <= data || hole > status.st_size ? status.st_size : hole;
    if (data == 0 && end == status.st_size) break;
    entry.segments.push_back({static_cast<uint64_t>(data), static_cast<uint64_t>(end - data)});
    at = end;
  }
  entry.segments.clear();
}

}  // namespace

Result<std::vector<std::string>> ListDirectory(int directory) {
  // A descriptor of its own: closedir closes it, and its position is its own too.
  const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return FailErrno("open a directory");
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(copy), ::closedir);
  if (!stream) return FailErrno("read a directory");
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) {
      if (errno != 0) return FailErrno("read a directory");
      break;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<UniqueFd> OpenDirectoryAt(int parent, const std::string& name) {
  UniqueFd directory(
      ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory.valid()) return FailErrno("open the directory {}", EscapeControl(name));
  return directory;
}

std::string AttributeAt(int parent, const std::string& name, const char* attribute) {
  const UniqueFd file(
      ::openat(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  std::array<char, 256> value{};
  const ssize_t size =
      file.valid() ? ::fgetxattr(file.get(), attribute, value.data(), value.size()) : -1;
  return std::string(value.data(), size > 0 ? static_cast<size_t>(size) : 0);
}

void EntryWriter::Warn(std::string warning) {
  if (warnings_.size() < kMaxWarnings) warnings_.push_back(std::move(warning));
}

Status EntryWriter::Add(int parent, const std::string& name, const std::string& path,
                        const struct stat& status) {
  Entry entry;
  entry.path = path;
  entry.mode = status.st_mode;
  entry.uid = status.st_uid;
  entry.gid = status.st_gid;
  entry.mtime_s = status.st_mtim.tv_sec;
  entry.mtime_ns = static_cast<uint32_t>(status.st_mtim.tv_nsec);
  const mode_t type = status.st_mode & S_IFMT;
  if (type == S_IFSOCK) return {};
  if (type != S_IFDIR && status.st_nlink > 1) {
    const auto [seen, first] = links_.try_emplace({status.st_dev, status.st_ino}, path);
    if (!first) {
      entry.hard_link = true;
      entry.link = seen->second;
      return tar_.Begin(entry);
    }
  }
  if (type == S_IFLNK) {
    HULL_ASSIGN(entry.link, ReadLinkAt(parent, name));
    return tar_.Begin(entry);
  }
  if (type == S_IFCHR || type == S_IFBLK) {
    entry.device_major = major(status.st_rdev);
    entry.device_minor = minor(status.st_rdev);
    return tar_.Begin(entry);
  }
  if (type == S_IFDIR) {
    if (!entry.path.ends_with('/')) entry.path += '/';
    // A directory that cannot be opened is told when its content is asked for.
    const Result<UniqueFd> directory = OpenDirectoryAt(parent, name);
    if (directory) ReadAttributes(directory->get(), entry);
    return tar_.Begin(entry);
  }
  if (type != S_IFREG) return tar_.Begin(entry);

  // What was a regular file a moment ago may be anything now: no waiting for a FIFO, no terminal.
  const UniqueFd file(
      ::openat(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file.valid()) return FailErrno("open {}", EscapeControl(path));
  struct stat now {};
  if (::fstat(file.get(), &now) != 0) return FailErrno("look at {}", EscapeControl(path));
  if (!S_ISREG(now.st_mode)) {
    return Fail(ErrorCode::kUnavailable, "{} has changed its kind meanwhile", EscapeControl(path));
  }
  entry.size = static_cast<uint64_t>(now.st_size);
  ReadAttributes(file.get(), entry);
  FindSegments(file.get(), now, entry);
  HULL_TRY(tar_.Begin(entry));
  return AddData(file.get(), entry);
}

Status EntryWriter::AddData(int file, const Entry& entry) {
  if (!entry.sparse) return CopySegment(file, {0, entry.size}, entry);
  for (const Segment& segment : entry.segments) HULL_TRY(CopySegment(file, segment, entry));
  return {};
}

// Gives as many bytes as were announced, whatever happens to the file meanwhile.
Status EntryWriter::CopySegment(int file, const Segment& segment, const Entry& entry) {
  std::vector<std::byte> buffer(std::min<uint64_t>(kCopyBytes, segment.size));
  uint64_t done = 0;
  while (done < segment.size) {
    const size_t wanted = std::min<uint64_t>(buffer.size(), segment.size - done);
    ssize_t got = ::pread(file, buffer.data(), wanted, static_cast<off_t>(segment.offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("read {}", EscapeControl(entry.path));
    if (got == 0) {
      if (done == 0 || wanted != 0) {
        Warn(fmt::format("{}: became smaller while it was read", EscapeControl(entry.path)));
      }
      std::fill(buffer.begin(), buffer.end(), std::byte{0});
      for (; done < segment.size; done += std::min<uint64_t>(buffer.size(), segment.size - done)) {
        HULL_TRY(tar_.Data(
            std::span(buffer.data(), std::min<uint64_t>(buffer.size(), segment.size - done))));
      }
      return {};
    }
    HULL_TRY(tar_.Data(std::span(buffer.data(), static_cast<size_t>(got))));
    done += static_cast<uint64_t>(got);
  }
  return {};
}

}  // namespace hull::archive
