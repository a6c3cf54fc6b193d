#include "images/store/collect.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <system_error>

#include "images/digest/digest.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

constexpr std::string_view kPins = "/pins";
constexpr uint64_t kPinBytes = uint64_t{1} << 20;
constexpr std::string_view kFilePrefix = "sha256-";
constexpr size_t kHexDigits = 64;
// Layers hold other people's set-user-id programs and secrets; the store is for root.
constexpr mode_t kDirectoryMode = 0700;

// What may not go.
struct Kept {
  std::set<std::string, std::less<>> diff_ids;     // the layer as it is, and what stands beside it
  std::set<std::string, std::less<>> pinned;       // with every variant
  std::set<std::string, std::less<>> layer_files;  // these files alone
  std::set<std::string, std::less<>> blobs;        // digests
};

Status KeepRecords(const StorePaths& paths, Kept& kept) {
  HULL_ASSIGN(const std::vector<std::string> ids, ListImageIds(paths));
  for (const std::string& id : ids) {
    HULL_ASSIGN(const auto record, ReadImageRecord(paths, id));
    if (!record) continue;
    kept.blobs.insert(record->id);
    kept.blobs.insert(record->manifest_digest);
    for (size_t i = 0; i < record->diff_ids.size(); ++i) {
      kept.diff_ids.insert(record->diff_ids[i]);
      const std::string path = paths.Layer(record->diff_ids[i], record->variants[i]);
      kept.layer_files.insert(path.substr(path.rfind('/') + 1));
    }
  }
  return {};
}

Status KeepPinned(const StorePaths& paths, Kept& kept) {
  for (const std::string& directory : ScratchDirectory::Look(paths.Scratch()).held) {
    Result<std::string> text = ReadFile(directory + std::string(kPins), kPinBytes);
    if (!text && text.error().code() == ErrorCode::kNotFound) continue;
    if (!text) return Fail(std::move(text).error());
    for (size_t start = 0; start < text->size();) {
      const size_t end = std::min(text->find('\n', start), text->size());
      kept.pinned.insert(text->substr(start, end - start));
      start = end + 1;
    }
  }
  return {};
}

// "sha256:<hex>" of a file called "sha256-<hex>...", else empty.
std::string DigestOfFile(std::string_view name) {
  if (!name.starts_with(kFilePrefix)) return {};
  std::string digest = fmt::format("sha256:{}", name.substr(kFilePrefix.size(), kHexDigits));
  return IsDigest(digest) ? digest : std::string();
}

bool IsKeptLayer(const Kept& kept, const std::string& name, const std::string& diff_id) {
  // A file that hull would not make is not hull's to remove.
  if (diff_id.empty() || kept.layer_files.contains(name)) return true;
  if (kept.pinned.contains(diff_id)) return true;
  // Variants have something between the digest and the suffix; they are kept by name alone.
  const bool is_variant = name.compare(kFilePrefix.size() + kHexDigits, 1, "-") == 0;
  return !is_variant && kept.diff_ids.contains(diff_id);
}

// Returns the bytes that the file took on the disk.
uint64_t RemoveFile(const std::string& path) {
  struct stat info = {};
  constexpr uint64_t kStatBlock = 512;
  if (::lstat(path.c_str(), &info) != 0 || ::unlink(path.c_str()) != 0) return 0;
  return static_cast<uint64_t>(info.st_blocks) * kStatBlock;
}

Status DropNamesOfNothing(const StorePaths& paths, const ScratchDirectory& scratch) {
  HULL_ASSIGN(NameTable names, ReadNames(paths));
  const size_t dropped = std::erase_if(names, [&](const auto& entry) {
    return ::access(paths.ImageFile(entry.second.id).c_str(), F_OK) != 0 && errno == ENOENT;
  });
  if (dropped == 0) return {};
  return PublishFile(scratch.path(), paths.Names(), EncodeNames(names));
}

}  // namespace

Result<FileLock> LockStore(const StorePaths& paths) {
  return FileLock::Acquire(paths.Lock("store"));
}

Status MakeStore(const StorePaths& paths) {
  for (const std::string& path :
       {paths.Layers(), paths.Blobs(), paths.Images(), paths.Locks(), paths.Scratch()}) {
    HULL_TRY(MakeDirectories(path, kDirectoryMode));
  }
  return {};
}

Status PinLayers(const ScratchDirectory& scratch, const std::vector<std::string>& diff_ids) {
  std::string text;
  for (const std::string& diff_id : diff_ids) text += diff_id + "\n";
  HULL_ASSIGN(const UniqueFd fd, OpenFile(scratch.path() + std::string(kPins),
                                          O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  HULL_TRY_WITHIN("write the list of layers", WriteAll(fd.get(), text));
  return {};
}

void UnpinLayers(const ScratchDirectory& scratch) {
  ::unlink((scratch.path() + std::string(kPins)).c_str());
}

Result<Collected> CollectGarbage(const StorePaths& paths, const ScratchDirectory& scratch,
                                 const InUse& in_use) {
  HULL_TRY(DropNamesOfNothing(paths, scratch));
  Kept kept;
  kept.layer_files = in_use.layer_files;
  HULL_TRY(KeepRecords(paths, kept));
  HULL_TRY(KeepPinned(paths, kept));
  Collected collected;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(paths.Layers(), error)) {
    const std::string name = entry.path().filename();
    const std::string diff_id = DigestOfFile(name);
    if (IsKeptLayer(kept, name, diff_id)) continue;
    collected.freed_bytes += RemoveFile(entry.path());
    if (name.ends_with(".erofs")) collected.layers.push_back(diff_id);
  }
  for (const auto& entry : std::filesystem::directory_iterator(paths.Blobs(), error)) {
    const std::string digest = DigestOfFile(entry.path().filename().string());
    if (digest.empty() || kept.blobs.contains(digest)) continue;
    collected.freed_bytes += RemoveFile(entry.path());
  }
  return collected;
}

Status FinishChange(const StorePaths& paths, const ScratchDirectory& scratch,
                    const InUseReader& in_use) {
  if (in_use) {
    HULL_ASSIGN(const FileLock lock, LockStore(paths));
    HULL_ASSIGN(const InUse used, in_use());
    HULL_TRY(CollectGarbage(paths, scratch, used));
  }
  // The mark of a killed command goes last.
  ScratchDirectory::RemoveAbandoned(paths.Scratch());
  FileLock::RemoveAbandoned(paths.Locks());
  return {};
}

}  // namespace hull::images
