#include "images/store/inherit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <set>

#include "images/digest/digest.h"
#include "images/import/erofs_format.h"
#include "images/store/erofs_lookup.h"
#include "images/store/lower_paths.h"
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
  uint64_t mtime_s;
  uint32_t mtime_ns;
};

// Of those that hull-import reports. The root's metadata is the writable layer's. A name that had
// to be escaped on its way here is not looked up.
bool IsLookedUp(const std::string& path) {
  return !path.empty() && path.find('\\') == std::string::npos;
}

// What the layers below say of `path`, from the highest down; `lower` is lowest first.
Result<DirectoryFound> FindBelow(const std::vector<LayerFile>& lower, std::string_view path) {
  for (auto layer = lower.rbegin(); layer != lower.rend(); ++layer) {
    HULL_ASSIGN(const DirectoryFound found, layer->FindDirectory(path));
    if (found.kind != DirectoryFound::Kind::kNothing || found.opaque_above) return found;
  }
  return DirectoryFound{};
}

// A directory whose time alone is another is not worth a variant; in one that is made anyway, it is
// as below.
enum class Which { kThatDiffer, kAll };

Result<std::vector<Inherited>> FindInherited(const LayerFile& layer,
                                             const std::vector<LayerFile>& lower,
                                             const std::vector<std::string>& directories,
                                             Which which) {
  std::vector<Inherited> inherited;
  for (const std::string& path : directories) {
    HULL_ASSIGN(const DirectoryFound own, layer.FindDirectory(path));
    if (own.kind != DirectoryFound::Kind::kDirectory || own.opaque_on_way) continue;
    HULL_ASSIGN(const DirectoryFound below, FindBelow(lower, path));
    const bool differs =
        which == Which::kAll || below.mode != kDefaultMode || below.uid != 0 || below.gid != 0;
    if (below.kind != DirectoryFound::Kind::kDirectory || !differs) continue;
    inherited.push_back(
        {path, own.inode_offset, below.mode, below.uid, below.gid, below.mtime_s, below.mtime_ns});
  }
  return inherited;
}

std::string VariantOf(const std::string& key, const std::vector<Inherited>& inherited) {
  if (key.empty() && inherited.empty()) return {};
  Sha256 hash;
  hash.Update(key);
  for (const Inherited& directory : inherited) {
    hash.Update(fmt::format("{:o} {} {} {}.{} {}\n", directory.mode, directory.uid, directory.gid,
                            directory.mtime_s, directory.mtime_ns, directory.path));
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
    HULL_TRY(Patch(to.get(), inode + offsetof(erofs::DiskInode, mtime_s), directory.mtime_s));
    HULL_TRY(Patch(to.get(), inode + offsetof(erofs::DiskInode, mtime_ns), directory.mtime_ns));
  }
  if (::fchmod(to.get(), kLayerMode) != 0) return FailErrno("chmod {}", target);
  if (::fdatasync(to.get()) != 0) return FailErrno("write {}", target);
  return {};
}

Result<std::vector<std::string>> NeededBy(const LinkedLayer& layer,
                                          const std::vector<LayerFile>& lower,
                                          const std::vector<std::string>& hard_link_targets) {
  HULL_ASSIGN(const LayerFile own, LayerFile::Open(layer.path));
  const std::set<std::string> implicit(layer.implicit_directories.begin(),
                                       layer.implicit_directories.end());
  return NeededOfLower({own, lower, implicit}, hard_link_targets);
}

Result<std::string> MakeVariantOf(const StorePaths& paths, const ScratchDirectory& scratch,
                                  const Importing& importing, const std::string& diff_id,
                                  const std::vector<LayerFile>& lower) {
  HULL_ASSIGN(const std::vector<std::string> links, ReadLowerLinks(paths, diff_id));
  LinkedLayer base;
  base.path = paths.Layer(diff_id);
  HULL_ASSIGN(base.implicit_directories, ReadLines(paths.ImplicitList(diff_id), kListBytes));
  if (links.empty() && (base.implicit_directories.empty() || lower.empty())) return std::string();
  HULL_ASSIGN(const std::vector<std::string> needed, NeededBy(base, lower, links));
  if (!needed.empty()) {
    HULL_ASSIGN(base, MakeLinkedLayer(paths, scratch, importing, diff_id, lower, needed));
    std::erase_if(base.implicit_directories,
                  [](const std::string& path) { return !IsLookedUp(path); });
  }
  HULL_ASSIGN(const LayerFile layer, LayerFile::Open(base.path));
  HULL_ASSIGN(const std::vector<Inherited> inherited,
              FindInherited(layer, lower, base.implicit_directories,
                            needed.empty() ? Which::kThatDiffer : Which::kAll));
  const std::string variant = VariantOf(base.key, inherited);
  if (variant.empty()) return variant;
  const std::string target = paths.Layer(diff_id, variant);
  HULL_ASSIGN(const FileLock lock,
              FileLock::Acquire(paths.Lock(fmt::format("layer-{}-{}", HexOf(diff_id), variant))));
  if (::access(target.c_str(), F_OK) == 0) return variant;
  const std::string temporary = scratch.path() + "/variant.erofs";
  HULL_TRY(MakeVariant(base.path, temporary, inherited));
  HULL_TRY(PublishRename(temporary, target));
  return variant;
}

}  // namespace

Status WriteImplicitDirectories(const StorePaths& paths, const std::string& scratch,
                                const std::string& diff_id,
                                const std::vector<std::string>& directories) {
  std::string text;
  for (const std::string& path : directories) {
    if (IsLookedUp(path)) text += path + "\n";
  }
  if (text.empty()) return {};
  return PublishFile(scratch, paths.ImplicitList(diff_id), text);
}

Result<std::vector<std::string>> MakeVariants(const StorePaths& paths,
                                              const ScratchDirectory& scratch,
                                              const Importing& importing,
                                              const std::vector<std::string>& diff_ids) {
  std::vector<std::string> variants;
  std::vector<LayerFile> lower;
  for (const std::string& diff_id : diff_ids) {
    HULL_ASSIGN_WITHIN(fmt::format("layer {}", diff_id), std::string variant,
                       MakeVariantOf(paths, scratch, importing, diff_id, lower));
    HULL_ASSIGN(LayerFile layer, LayerFile::Open(paths.Layer(diff_id, variant)));
    lower.push_back(std::move(layer));
    variants.push_back(std::move(variant));
  }
  return variants;
}

}  // namespace hull::images
