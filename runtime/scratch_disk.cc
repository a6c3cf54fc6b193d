#include "runtime/scratch_disk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "vmm/base/escape.h"
#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

namespace hull {
namespace {

// Part of the template's name: a template made otherwise is another template.
constexpr std::string_view kTemplateVersion = "1";
constexpr size_t kChunkBytes = 64 * 1024;
constexpr size_t kBlockBytes = 4096;
constexpr size_t kMaxErrorBytes = 1024;

std::string TemplatePath(const HostLayout& layout, uint64_t size_bytes, ScratchKind kind) {
  return fmt::format("{}/scratch/template-{}-{}-{}", layout.store_root, kTemplateVersion,
                     kind == ScratchKind::kKept ? "kept" : "throwaway", size_bytes);
}

// mkfs.ext4's own words, on one line.
Status MkfsFailed(int errors) {
  std::string text(kMaxErrorBytes, '\0');
  const ssize_t got = pread(errors, text.data(), text.size(), 0);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ';');
  if (text.find(strerror(ENOSPC)) != std::string::npos) {
    return Fail(Error::FromErrno(ENOSPC, "mkfs.ext4"));
  }
  return Fail(ErrorCode::kFailed, "mkfs.ext4 failed: {}", EscapeControl(text));
}

// `fd`: the file, large enough already.
Status RunMkfs(int fd, ScratchKind kind) {
  // The program has it under a number of its own.
  constexpr int kFile = 3;
  const std::string path = fmt::format("/proc/self/fd/{}", kFile);
  const UniqueFd errors(memfd_create("mkfs", MFD_CLOEXEC));
  if (!errors.valid()) return FailErrno("make a file in memory");
  // 0 lazy initialisation: otherwise the guest's kernel would spend its idle time writing zeros to
  // all inode tables. The zeros that mkfs writes for it become holes in the template.
  const char* const features =
      kind == ScratchKind::kKept ? "^resize_inode" : "^resize_inode,^has_journal";
  std::array<const char*, 12> arguments = {
      "mkfs.ext4",  "-q",   "-F",
      "-m",         "0",    "-O",
      features,     "-E",   "lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0",
      path.c_str(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, errors.get(), 2);
  posix_spawn_file_actions_adddup2(&actions, fd, kFile);
  pid_t child = 0;
  // A user's PATH may lack the directories of system programs.
  const char* const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", nullptr};
  int error = ENOENT;
  for (const char* program : {"/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"}) {
    // SAFETY: posix_spawn does not write to the strings.
    error =
        posix_spawn(&child, program, &actions, nullptr, const_cast<char* const*>(arguments.data()),
                    const_cast<char* const*>(environment));
    if (error == 0) break;
  }
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return Fail(Error::FromErrno(error, "run mkfs.ext4")
                    .WithHint("install e2fsprogs, or use --storage tmpfs"));
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return MkfsFailed(errors.get());
  return {};
}

// A file without a name: gone with whoever is killed.
Result<UniqueFd> NamelessFile(const std::string& directory) {
  Result<UniqueFd> file = OpenFile(directory, O_TMPFILE | O_RDWR, 0600);
  const int error_number = file ? 0 : file.error().error_number();
  if (error_number != EOPNOTSUPP && error_number != EISDIR) return file;
  // A file system that has none: a name for a moment.
  std::string path = directory + "/template.XXXXXX";
  UniqueFd named(mkostemp(path.data(), O_CLOEXEC));
  if (!named.valid()) return FailErrno("make a file in {}", directory);
  unlink(path.c_str());
  return named;
}

// Gives a nameless file its name; one that there is already is as good.
Status Name(int fd, const std::string& path) {
  const std::string nameless = fmt::format("/proc/self/fd/{}", fd);
  if (linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) return {};
  if (errno == EEXIST) return {};
  if (errno != ENOENT) return FailErrno("name {}", path);
  // It had a name before, and gets no other.
  const std::string beside = path + ".new";
  HULL_ASSIGN(const UniqueFd copy, OpenFile(beside, O_RDWR | O_CREAT | O_TRUNC, 0600));
  Status copied = CopySparse(fd, copy.get(), Zeros::kCopy);
  if (copied && fdatasync(copy.get()) != 0) copied = FailErrno("write {} to the disk", beside);
  if (copied && rename(beside.c_str(), path.c_str()) != 0) copied = FailErrno("name {}", path);
  if (!copied) unlink(beside.c_str());
  return copied;
}

// A reader sees a whole template or none.
Status MakeTemplate(const HostLayout& layout, const std::string& path, uint64_t size_bytes,
                    ScratchKind kind) {
  const std::string directory = layout.store_root + "/scratch";
  HULL_TRY(MakeDirectories(directory, 0700));
  HULL_ASSIGN(const UniqueFd made, NamelessFile(directory));
  if (ftruncate(made.get(), static_cast<off_t>(size_bytes)) != 0) {
    return FailErrno("size a file in {}", directory);
  }
  HULL_TRY(RunMkfs(made.get(), kind));
  HULL_ASSIGN(const UniqueFd sparse, NamelessFile(directory));
  HULL_TRY(CopySparse(made.get(), sparse.get(), Zeros::kSkip));
  // Every disk of that size is made of it, after a power cut, too.
  if (fdatasync(sparse.get()) != 0) return FailErrno("write {} to the disk", path);
  return Name(sparse.get(), path);
}

bool IsZero(const std::byte* block, size_t size) {
  return block[0] == std::byte{0} && std::memcmp(block, block + 1, size - 1) == 0;
}

Status WriteAt(int fd, const std::byte* data, size_t size, off_t offset) {
  while (size > 0) {
    const ssize_t written = pwrite(fd, data, size, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FailErrno("write the scratch disk");
    data += written;
    size -= static_cast<size_t>(written);
    offset += written;
  }
  return {};
}

Status CopyRange(int from, int to, off_t begin, off_t end, Zeros zeros) {
  if (zeros == Zeros::kCopy) {
    off_t in = begin;
    off_t out = begin;
    while (in < end) {
      const ssize_t copied = copy_file_range(from, &in, to, &out, static_cast<size_t>(end - in), 0);
      if (copied > 0) continue;
      if (copied < 0 && errno == EINTR) continue;
      break;  // Across file systems some kernels cannot: the rest goes by hand.
    }
    begin = in;
  }
  std::vector<std::byte> buffer(kChunkBytes);
  while (begin < end) {
    const size_t wanted = std::min(buffer.size(), static_cast<size_t>(end - begin));
    const ssize_t got = pread(from, buffer.data(), wanted, begin);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return FailErrno("read the scratch template");
    const auto size = static_cast<size_t>(got);
    for (size_t at = 0; at < size; at += kBlockBytes) {
      const size_t block = std::min(kBlockBytes, size - at);
      if (zeros == Zeros::kSkip && IsZero(buffer.data() + at, block)) continue;
      HULL_TRY(WriteAt(to, buffer.data() + at, block, begin + static_cast<off_t>(at)));
    }
    begin += got;
  }
  return {};
}

}  // namespace

Status CopySparse(int from, int to, Zeros zeros) {
  struct stat status {};
  if (fstat(from, &status) != 0) return FailErrno("stat the scratch template");
  // A file system that shares blocks between files does it in one step.
  if (zeros == Zeros::kCopy && ioctl(to, FICLONE, from) == 0) return {};
  if (ftruncate(to, status.st_size) != 0) return FailErrno("size the scratch disk");
  off_t at = 0;
  while (at < status.st_size) {
    const off_t data = lseek(from, at, SEEK_DATA);
    if (data < 0) {
      if (errno == ENXIO) break;  // nothing but holes from here
      return FailErrno("seek in the scratch template");
    }
    const off_t hole = lseek(from, data, SEEK_HOLE);
    if (hole < 0) return FailErrno("seek in the scratch template");
    HULL_TRY(CopyRange(from, to, data, hole, zeros));
    at = hole;
  }
  return {};
}

Status MakeScratchDisk(const HostLayout& layout, const std::string& path, uint64_t size_bytes,
                       ScratchKind kind) {
  const std::string source = TemplatePath(layout, size_bytes, kind);
  Result<UniqueFd> from = OpenFile(source, O_RDONLY);
  if (!from && from.error().code() == ErrorCode::kNotFound) {
    HULL_TRY_WITHIN("make the template of writable layers",
                    MakeTemplate(layout, source, size_bytes, kind));
    from = OpenFile(source, O_RDONLY);
  }
  if (!from) return Fail(std::move(from).error());
  HULL_ASSIGN(const UniqueFd to, OpenFile(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  Status copied = CopySparse(from->get(), to.get(), Zeros::kCopy);
  if (copied) return {};
  unlink(path.c_str());
  return Fail(std::move(copied).error().Within("make the writable layer"));
}

}  // namespace hull
