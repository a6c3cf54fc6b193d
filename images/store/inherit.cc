#include "images/store/inherit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "images/digest/digest.h"
#include "images/import/erofs_format.h"
#include "images/store/erofs_lookup.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

constexpr uint64_t kListBytes = uint64_t{16} << 20;
constexpr size_t kVariantDigits = 16;
constexpr mode_t kLayerMode = 0444;
constexpr uint32_t kDefaultMode = S_IFDIR | 0755;

struct Inherited {
  std::string path;
  uint64_t inode_offset;  // in the layer that gets it
  uint32_t mode;
  uint32_t uid;
  uint32_t gid;
};

Result<std::vector<std::string>> ReadImplicitDirectories(const StorePaths& paths,
                                                         const std::string& diff_id) {
  std::vector<std::string> directories;
  Result<std::string> text = ReadFile(paths.ImplicitList(diff_id), kListBytes);
  if (!text && text.error().code() == ErrorCode::kNotFound) return directories;
  if (!text) return Fail(std::move(text).error());
  for (size_t start = 0; start < text->size();) {
    const size_t end = std::min(text->find('\n', start), text->size());
    directories.push_back(text->substr(start, end - start));
    start = end + 1;
  }
  return directories;
}

// What the layers below say of `path`, from the highest down; `lower` is lowest first.
Result<DirectoryFound> FindBelow(const std::vector<LayerFile>& lower, std::string_view path) {
  for (auto layer = lower.rbegin(); layer != lower.rend(); ++layer) {
    HULL_ASSIGN(const DirectoryFound found, layer->FindDirectory(path));
    if (found.kind != DirectoryFound::Kind::kNothing || found.opaque_above) return found;
  }
  return DirectoryFound{};
}

Result<std::vector<Inherited>> FindInherited(const LayerFile& layer,
                                             const std::vector<LayerFile>& lower,
                                             const std::vector<std::string>& directories) {
  std::vector<Inherited> inherited;
  for (const std::string& path : directories) {
    HULL_ASSIGN(const DirectoryFound own, layer.FindDirectory(path));
    if (own.kind != DirectoryFound::Kind::kDirectory || own.opaque_above) continue;
    HULL_ASSIGN(const DirectoryFound below, FindBelow(lower, path));
    const bool differs = below.mode != kDefaultMode || below.uid != 0 || below.gid != 0;
    if (below.kind != DirectoryFound::Kind::kDirectory || !differs) continue;
    inherited.push_back({path, own.inode_offset, below.mode, below.uid, below.gid});
  }
  return inherited;
}

std::string VariantOf(const std::vector<Inherited>& inherited) {
  if (inherited.empty()) return {};
  Sha256 hash;
  for (const Inherited& directory : inherited) {
    hash.Update(fmt::format("{:o} {} {} {}\n", directory.mode, directory.uid, directory.gid,
                            directory.path));
  }
  return std::string(HexOf(hash.Finish()).substr(0, kVariantDigits));
}

// Holes stay holes.
Status CopyFile(int from, int to, const std::string& name) {
  HULL_ASSIGN(const uint64_t size, FileSizeBytes(from, name));
  if (::ftruncate(to, static_cast<off_t>(size)) != 0) return FailErrno("write {}", name);
  std::vector<char> buffer(size_t{1} << 20);
  off_t position = 0;
  while ((position = ::lseek(from, position, SEEK_DATA)) >= 0) {
    const off_t hole = ::lseek(from, position, SEEK_HOLE);
    while (position < hole) {
      const size_t wanted = std::min<size_t>(buffer.size(), static_cast<size_t>(hole - position));
      const ssize_t count = ::pread(from, buffer.data(), wanted, position);
      if (count <= 0) return FailErrno("read {}", name);
      if (::lseek(to, position, SEEK_SET) != position) return FailErrno("write {}", name);
      HULL_TRY_WITHIN(name,
                      WriteAll(to, std::string_view(buffer.data(), static_cast<size_t>(count))));
      position += count;
    }
  }
  if (errno != ENXIO) return FailErrno("read {}", name);  // ENXIO: no data behind `position`
  return {};
}

template <typename T>
Status Patch(int fd, uint64_t offset, T value) {
  if (::pwrite(fd, &value, sizeof(value), static_cast<off_t>(offset)) !=
      static_cast<ssize_t>(sizeof(value))) {
    return FailErrno("write a layer");
  }
  return {};
}

Status MakeVariant(const std::string& base, const std::string& target,
                   const std::vector<Inherited>& inherited) {
  HULL_ASSIGN(const UniqueFd from, OpenFile(base, O_RDONLY));
  HULL_ASSIGN(const UniqueFd to, OpenFile(target, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  HULL_TRY(CopyFile(from.get(), to.get(), target));
  for (const Inherited& directory : inherited) {
    const uint64_t inode = directory.inode_offset;
    HULL_TRY(Patch(to.get(), inode + offsetof(erofs::DiskInode, mode),
                   static_cast<uint16_t>(directory.mode)));
    HULL_TRY(Patch(to.get(), inode + offsetof(erofs::DiskInode, uid), directory.uid));
    HULL_TRY(Patch(to.get(), inode + offsetof(erofs::DiskInode, gid), directory.gid));
  }
  if (::fchmod(to.get(), kLayerMode) != 0) return FailErrno("chmod {}", target);
  if (::fdatasync(to.get()) != 0) return FailErrno("write {}", target);
  return {};
}

Result<std::string> InheritOne(const StorePaths& paths, const ScratchDirectory& scratch,
                               const std::string& diff_id, const std::vector<LayerFile>& lower) {
  HULL_ASSIGN(const std::vector<std::string> directories, ReadImplicitDirectories(paths, diff_id));
  if (directories.empty() || lower.empty()) return std::string();
  HULL_ASSIGN(const LayerFile layer, LayerFile::Open(paths.Layer(diff_id)));
  HULL_ASSIGN(const std::vector<Inherited> inherited, FindInherited(layer, lower, directories));
  const std::string variant = VariantOf(inherited);
  if (variant.empty()) return variant;
  const std::string target = paths.Layer(diff_id, variant);
  HULL_ASSIGN(const FileLock lock,
              FileLock::Acquire(paths.Lock(fmt::format("layer-{}-{}", HexOf(diff_id), variant))));
  if (::access(target.c_str(), F_OK) == 0) return variant;
  const std::string temporary = scratch.path() + "/variant.erofs";
  HULL_TRY(MakeVariant(paths.Layer(diff_id), temporary, inherited));
  HULL_TRY(PublishRename(temporary, target));
  return variant;
}

}  // namespace

Status WriteImplicitDirectories(const StorePaths& paths, const std::string& scratch,
                                const std::string& diff_id,
                                const std::vector<std::string>& directories) {
  std::string text;
  for (const std::string& path : directories) {
    // The root's metadata is the writable layer's. A name that had to be escaped on its way here is
    // not looked up.
    if (!path.empty() && path.find('\\') == std::string::npos) text += path + "\n";
  }
  if (text.empty()) return {};
  return PublishFile(scratch, paths.ImplicitList(diff_id), text);
}

Result<std::vector<std::string>> InheritDirectories(const StorePaths& paths,
                                                    const ScratchDirectory& scratch,
                                                    const std::vector<std::string>& diff_ids) {
  std::vector<std::string> variants;
  std::vector<LayerFile> lower;
  for (const std::string& diff_id : diff_ids) {
    HULL_ASSIGN_WITHIN(fmt::format("layer {}", diff_id), std::string variant,
                       InheritOne(paths, scratch, diff_id, lower));
    HULL_ASSIGN(LayerFile layer, LayerFile::Open(paths.Layer(diff_id, variant)));
    lower.push_back(std::move(layer));
    variants.push_back(std::move(variant));
  }
  return variants;
}

}  // namespace hull::images
