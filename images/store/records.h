// What the store writes down about images, as JSON files. Readers need no lock: files appear by
// rename.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace hull::images {

// images/sha256-<id>.json
struct ImageRecord {
  std::string id;
  std::string manifest_digest;
  std::vector<std::string> diff_ids;  // lowest first
  std::vector<std::string> variants;  // of each layer (inherit.h); empty for the layer as it is
};

// One entry of names.json.
struct NameRecord {
  std::string id;
  std::string digest;  // of what the name stood for when it was pulled: a manifest or an index
};
using NameTable = std::map<std::string, NameRecord, std::less<>>;

// Where everything is. Paths only.
class StorePaths {
 public:
  explicit StorePaths(std::string root) : root_(std::move(root)) {}

  const std::string& root() const { return root_; }
  std::string Layers() const { return root_ + "/layers"; }
  std::string Blobs() const { return root_ + "/blobs"; }
  std::string Images() const { return root_ + "/images"; }
  std::string Locks() const { return root_ + "/locks"; }
  std::string Scratch() const { return root_ + "/tmp"; }
  std::string Names() const { return root_ + "/names.json"; }
  std::string Layer(std::string_view diff_id, std::string_view variant = {}) const;
  std::string ImplicitList(std::string_view diff_id) const;
  std::string LinkList(std::string_view diff_id) const;
  std::string Recipe(std::string_view diff_id) const;
  std::string Blob(std::string_view digest) const;
  std::string ImageFile(std::string_view id) const;
  std::string Lock(std::string_view name) const { return fmt::format("{}/{}", Locks(), name); }

 private:
  std::string root_;
};

// Empty when there is no table yet.
// A list of one entry a line; empty when there is no such file.
Result<std::vector<std::string>> ReadLines(const std::string& path, uint64_t cap_bytes);

Result<NameTable> ReadNames(const StorePaths& paths);
std::string EncodeNames(const NameTable& names);

// Nothing when there is no such image.
Result<std::optional<ImageRecord>> ReadImageRecord(const StorePaths& paths, std::string_view id);
std::string EncodeImageRecord(const ImageRecord& record);

// Ids of all images, in no order.
Result<std::vector<std::string>> ListImageIds(const StorePaths& paths);

// What to do about it, when `error` is that of a full disk.
Error HintAtRoom(Error error);

// Writes `data` to `path` so that after a kill or a power failure the old content is there or the
// new one. `scratch`: a directory on the same file system, for the half-written file.
Status PublishFile(const std::string& scratch, const std::string& path, std::string_view data);

// What was made or removed in `path` is so on the disk, too.
Status SyncDirectory(const std::string& path);

// Gives a complete file its place. The directory of `target` is on disk when this returns.
Status PublishRename(const std::string& from, const std::string& target);

}  // namespace hull::images
