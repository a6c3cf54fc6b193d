#include "images/store/store.h"

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <utility>

#include "images/store/collect.h"
#include "images/store/file_lock.h"
#include "images/store/lookup.h"
#include "images/store/manifest.h"
#include "images/store/records.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

// Whether files that are missing or damaged are an error. A list shows such an image all the same,
// so that it can be seen, and removed.
enum class Damage { kIsAnError, kIsPassedOver };

Error WithWayOut(Error error) {
  return std::move(error).WithHint("pull the image again, or remove it with `hull rmi`");
}

// The image with its configuration and layers; `names` and digests come from the table.
Result<Image> LoadImage(const StorePaths& paths, const ImageRecord& record, const NameTable& names,
                        Damage damage) {
  Image image;
  image.id = record.id;
  image.manifest_digest = record.manifest_digest;
  image.digest = record.manifest_digest;
  for (const auto& [name, named] : names) {
    if (named.id != record.id) continue;
    if (image.names.empty()) image.digest = named.digest;
    image.names.push_back(name);
    image.digests.push_back(named.digest);
  }
  const std::string attempt = fmt::format("image {}", record.id);
  Result<std::string> config = ReadFile(paths.Blob(record.id), ImportLimits{}.config_bytes);
  if (!config && damage == Damage::kIsAnError)
    return Fail(WithWayOut(std::move(config).error().Within(attempt)));
  image.config = config.value_or("");
  for (size_t i = 0; i < record.diff_ids.size(); ++i) {
    const std::string& diff_id = record.diff_ids[i];
    Layer layer{diff_id, paths.Layer(diff_id, record.variants[i]), 0};
    struct stat info = {};
    if (::stat(layer.path.c_str(), &info) != 0 && damage == Damage::kIsAnError) {
      return Fail(
          WithWayOut(Error::FromErrno(errno, fmt::format("{}: layer {}", attempt, layer.path))));
    }
    layer.size_bytes = static_cast<uint64_t>(info.st_size);
    image.size_bytes += layer.size_bytes;
    image.layers.push_back(std::move(layer));
  }
  Result<std::string> created = CreatedOf(image.config);
  if (!created && damage == Damage::kIsAnError)
    return Fail(WithWayOut(std::move(created).error().Within(attempt)));
  image.created = created.value_or("");
  return image;
}

}  // namespace

std::string ImporterProgram() {
  if (const char* value = std::getenv("HULL_IMPORT"); value != nullptr && *value != '\0')
    return value;
  std::array<char, PATH_MAX> path{};
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  const std::string_view self(path.data(), length > 0 ? static_cast<size_t>(length) : 0);
  return std::string(self.substr(0, self.rfind('/') + 1)) + "hull-import";
}

Store::Store(std::string root, std::string importer)
    : root_(std::move(root)), importer_(std::move(importer)) {}

Result<Store> Store::Open(std::string root, std::string importer) {
  if (root.empty()) return Fail(ErrorCode::kInvalidArgument, "the store has no directory");
  return Store(std::move(root) + "/images",
               importer.empty() ? ImporterProgram() : std::move(importer));
}

Result<Image> Store::Resolve(std::string_view name_or_id) const {
  const StorePaths paths(root_);
  // Without a lock an image may go while it is being read: it is looked for again then.
  for (bool again = true;; again = false) {
    HULL_ASSIGN(const NameTable names, ReadNames(paths));
    HULL_ASSIGN(const Found found, FindImage(paths, names, name_or_id));
    HULL_ASSIGN(const auto record, ReadImageRecord(paths, found.id));
    if (!record && again) continue;
    if (!record) return Fail(NoSuchImage(name_or_id));
    Result<Image> image = LoadImage(paths, *record, names, Damage::kIsAnError);
    if (!image && image.error().code() == ErrorCode::kNotFound && again) continue;
    if (!image) return image;
    if (!found.digest.empty()) image->digest = found.digest;
    return image;
  }
}

Status Store::CheckLayers(const std::vector<std::string>& layer_files) const {
  const StorePaths paths(root_);
  // Without a lock's file nobody holds it, and whoever takes it from now on sees the container.
  // From a store that cannot be written nobody removes anything.
  std::optional<FileLock> lock;
  if (::access(paths.Lock("store").c_str(), F_OK) == 0 &&
      ::access(paths.Locks().c_str(), W_OK) == 0) {
    HULL_ASSIGN(FileLock taken, LockStore(paths));
    lock.emplace(std::move(taken));
  }
  for (const std::string& file : layer_files) {
    const std::string path = fmt::format("{}/{}", paths.Layers(), file);
    if (::access(path.c_str(), F_OK) != 0) return FailErrno("layer {}", path);
  }
  return {};
}

Result<std::vector<Image>> Store::List() const {
  const StorePaths paths(root_);
  HULL_ASSIGN(const NameTable names, ReadNames(paths));
  HULL_ASSIGN(const std::vector<std::string> ids, ListImageIds(paths));
  std::vector<Image> images;
  for (const std::string& id : ids) {
    HULL_ASSIGN(const auto record, ReadImageRecord(paths, id));
    if (!record) continue;  // removed since it was listed
    Result<Image> image = LoadImage(paths, *record, names, Damage::kIsAnError);
    if (!image) {
      HULL_ASSIGN(const auto still, ReadImageRecord(paths, id));
      if (!still) continue;
      image = LoadImage(paths, *record, names, Damage::kIsPassedOver);
    }
    if (!image) return Fail(std::move(image).error());
    images.push_back(*std::move(image));
  }
  std::sort(images.begin(), images.end(), [](const Image& a, const Image& b) {
    return a.created != b.created ? a.created > b.created : a.id < b.id;
  });
  return images;
}

}  // namespace hull::images
