#include "images/store/lower_links.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "images/digest/digest.h"
#include "images/import/below_reader.h"
#include "images/store/layer_import.h"
#include "images/store/layer_tar.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

constexpr uint64_t kListBytes = uint64_t{64} << 20;

struct Found {
  const LayerFile* layer;
  uint64_t inode_offset;
};

Result<Found> FindBelow(const std::vector<LayerFile>& lower, const std::string& path) {
  for (auto layer = lower.rbegin(); layer != lower.rend(); ++layer) {
    HULL_ASSIGN(const FileFound found, layer->FindFile(path));
    if (found.kind == FileFound::Kind::kFile) return Found{&*layer, found.inode_offset};
    if (found.kind == FileFound::Kind::kHidden || found.opaque_above) break;
  }
  return Fail(ErrorCode::kCorrupt,
              "a hard link to \"{}\", which is no file of the layer or of those below it",
              EscapeControl(path));
}

Status AppendFile(int fd, const std::string& path, const Found& found) {
  HULL_ASSIGN(const FileContent content, found.layer->Describe(found.inode_offset));
  const BelowRecordHead head{static_cast<uint32_t>(path.size()),
                             static_cast<uint32_t>(content.head.size()), content.data_bytes};
  HULL_TRY(WriteAll(fd, std::as_bytes(std::span(&head, 1))));
  HULL_TRY(WriteAll(fd, path));
  HULL_TRY(WriteAll(fd, content.head));
  return found.layer->ReadData(content,
                               [fd](std::string_view piece) { return WriteAll(fd, piece); });
}

Result<std::string> WriteBelow(const std::string& file, const std::vector<LayerFile>& lower,
                               const std::vector<std::string>& targets) {
  HULL_ASSIGN(const UniqueFd fd, OpenFile(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  std::string key;
  for (const std::string& target : targets) {
    HULL_ASSIGN(const Found found, FindBelow(lower, target));
    HULL_TRY(AppendFile(fd.get(), target, found));
    const std::string& layer = found.layer->path();
    key += fmt::format("link {} {} {}\n", layer.substr(layer.rfind('/') + 1), found.inode_offset,
                       target);
  }
  return key;
}

Status WriteTar(const StorePaths& paths, const std::string& importer, const std::string& diff_id,
                uint64_t tar_bytes, const std::string& file) {
  HULL_ASSIGN(const UniqueFd fd, OpenFile(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  return WriteLayerTar(paths, importer, diff_id, tar_bytes,
                       [&fd](std::string_view piece) { return WriteAll(fd.get(), piece); });
}

}  // namespace

Status WriteLowerLinks(const StorePaths& paths, const std::string& scratch,
                       const std::string& diff_id, const std::vector<std::string>& targets) {
  if (targets.empty()) return {};
  std::string text;
  for (const std::string& target : targets) text += target + "\n";
  return PublishFile(scratch, paths.LinkList(diff_id), text);
}

Result<std::vector<std::string>> ReadLowerLinks(const StorePaths& paths,
                                                const std::string& diff_id) {
  return ReadLines(paths.LinkList(diff_id), kListBytes);
}

Result<LinkedLayer> MakeLinkedLayer(const StorePaths& paths, const ScratchDirectory& scratch,
                                    const Importing& importing, const std::string& diff_id,
                                    const std::vector<LayerFile>& lower,
                                    const std::vector<std::string>& targets) {
  const std::string base = fmt::format("{}/linked-{}", scratch.path(), HexOf(diff_id));
  LinkedLayer linked;
  linked.path = base + ".erofs";
  const std::string below = base + ".below";
  HULL_ASSIGN(linked.key, WriteBelow(below, lower, targets));
  LayerRequest request;
  request.importer = importing.importer;
  request.blob = base + ".tar";
  HULL_ASSIGN(request.descriptor.size_bytes, TarBytes(paths, diff_id));
  request.descriptor.digest = diff_id;
  request.diff_id = diff_id;
  request.target = linked.path;
  request.recipe = base + ".recipe";
  request.below = below;
  request.limit_bytes = importing.limit_bytes;
  request.limit_entries = importing.limit_entries;
  HULL_TRY(
      WriteTar(paths, importing.importer, diff_id, request.descriptor.size_bytes, request.blob));
  HULL_ASSIGN(ImportedLayer made, ImportLayer(request));
  linked.implicit_directories = std::move(made.implicit_directories);
  for (const std::string& file : {below, request.blob, request.recipe}) ::unlink(file.c_str());
  return linked;
}

}  // namespace hull::images
