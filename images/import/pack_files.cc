#include "images/import/pack_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <span>

#include "images/import/erofs_writer.h"
#include "images/import/layer_tree.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

constexpr size_t kChunkBytes = size_t{256} << 10U;
// Deeper is a mistake; and one descriptor a level is open.
constexpr int kMaxDepth = 128;
constexpr std::string_view kWhiteout = ".wh.";

Metadata MetadataOf(const struct stat& status) {
  Metadata metadata;
  metadata.mode = status.st_mode;
  metadata.uid = status.st_uid;
  metadata.gid = status.st_gid;
  metadata.mtime_s = status.st_mtim.tv_sec;
  metadata.mtime_ns = static_cast<uint32_t>(status.st_mtim.tv_nsec);
  return metadata;
}

class Packer {
 public:
  Packer(int image_fd, const PackLimits& limits)
      : tree_({.entries = limits.entries}), writer_(image_fd, limits.bytes), chunk_(kChunkBytes) {}

  Status Add(const PackSource& source, const std::string& name) {
    // Not opened for reading yet: a pipe would wait for its writer.
    UniqueFd place(::open(source.path.c_str(), O_PATH | O_CLOEXEC));
    if (!place.valid()) return FailErrno("{}", source.path);
    struct stat status {};
    if (::fstat(place.get(), &status) != 0) return FailErrno("{}", source.path);
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
      return Fail(ErrorCode::kUnsupported, "{} is neither a file nor a directory", source.path);
    }
    with_mounts_ = source.with_mounts;
    device_ = status.st_dev;
    UniqueFd fd(::open(source.path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (!fd.valid()) return FailErrno("{}", source.path);
    HULL_TRY_WITHIN(source.path, AddOpened(std::move(fd), name, 0));
    return {};
  }

  Status Finish() {
    tree_.root()->metadata.mode = S_IFDIR | 0755;
    // Nobody tells these by their UUID.
    return writer_.Finish(*tree_.root(), "sha256:" + std::string(64, '0'));
  }

 private:
  Status AddOpened(UniqueFd fd, const std::string& path, int depth) {
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return FailErrno("stat");
    if (S_ISDIR(status.st_mode)) return AddDirectory(std::move(fd), status, path, depth);
    if (S_ISREG(status.st_mode)) return AddFile(fd.get(), status, path);
    return {};
  }

  Status AddFile(int fd, const struct stat& status, const std::string& path) {
    HULL_ASSIGN(Inode* const inode, tree_.Add(path, MetadataOf(status)));
    const auto size = static_cast<uint64_t>(status.st_size);
    HULL_TRY(writer_.BeginFile(*inode, size));
    for (uint64_t at = 0; at < size;) {
      const uint64_t most = std::min<uint64_t>(size - at, chunk_.size());
      const ssize_t got = ::read(fd, chunk_.data(), most);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return FailErrno("read");
      if (got == 0) break;  // it was cut short meanwhile: zeros
      HULL_TRY(writer_.WriteFile(at, std::span(chunk_).first(static_cast<size_t>(got))));
      at += static_cast<uint64_t>(got);
    }
    return {};
  }

  Status AddDirectory(UniqueFd fd, const struct stat& status, const std::string& path, int depth) {
    if (depth > kMaxDepth) return Fail(ErrorCode::kExhausted, "it is deeper than {}", kMaxDepth);
    HULL_TRY(tree_.Add(path, MetadataOf(status)));
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(fd.get()), ::closedir);
    if (!directory) return FailErrno("read the directory");
    [[maybe_unused]] const int is_the_directorys = fd.Release();
    for (;;) {
      errno = 0;
      const dirent* const entry = ::readdir(directory.get());
      if (entry == nullptr && errno != 0) return FailErrno("read the directory");
      if (entry == nullptr) return {};
      const std::string name = entry->d_name;
      if (name == "." || name == ".." || name.starts_with(kWhiteout)) continue;
      HULL_TRY_WITHIN(name, AddEntry(::dirfd(directory.get()), name, path, depth));
    }
  }

  Status AddEntry(int directory, const std::string& name, const std::string& above, int depth) {
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      return errno == ENOENT ? Status() : FailErrno("stat");
    }
    const std::string path = above + "/" + name;
    if (S_ISLNK(status.st_mode)) return AddLink(directory, name, status, path);
    const bool is_kept = S_ISREG(status.st_mode) || S_ISDIR(status.st_mode);
    // Where something is mounted, a bind mount without what is below shows what is beneath it,
    // which nobody can read: an empty directory is nearest to it.
    const bool is_other = status.st_dev != device_ && !with_mounts_;
    if (is_other && S_ISDIR(status.st_mode)) {
      HULL_TRY(tree_.Add(path, MetadataOf(status)));
      return {};
    }
    if (!is_kept || is_other) return {};
    UniqueFd fd(::openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd.valid()) return errno == ENOENT ? Status() : FailErrno("open");
    return AddOpened(std::move(fd), path, depth + 1);
  }

  Status AddLink(int directory, const std::string& name, const struct stat& status,
                 const std::string& path) {
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlinkat(directory, name.c_str(), target.data(), target.size());
    if (size <= 0) return errno == ENOENT ? Status() : FailErrno("read the link");
    HULL_ASSIGN(Inode* const inode, tree_.Add(path, MetadataOf(status)));
    inode->target.assign(target.data(), static_cast<size_t>(size));
    return {};
  }

  LayerTree tree_;
  ErofsWriter writer_;
  std::vector<std::byte> chunk_;
  dev_t device_ = 0;
  bool with_mounts_ = false;
};

}  // namespace

Status PackFiles(const std::vector<PackSource>& sources, int image_fd, const PackLimits& limits) {
  Packer packer(image_fd, limits);
  for (size_t i = 0; i < sources.size(); ++i) {
    HULL_TRY(packer.Add(sources[i], std::to_string(i)));
  }
  return packer.Finish();
}

}  // namespace hull::images
