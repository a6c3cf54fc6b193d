#include "images/store/assemble.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#include <thread>
#include <utility>

#include "images/digest/digest.h"
#include "images/store/collect.h"
#include "images/store/inherit.h"
#include "images/store/layer_import.h"
#include "images/store/layer_tar.h"
#include "images/store/lower_links.h"

namespace hull::images {
namespace {

// Layers made at the same time. Each has a process of its own, with its tree in memory.
constexpr size_t kWorkers = 4;

// Calls `work` with 0 to `count` - 1, on some threads. The first error ends it.
Status ForEach(size_t count, const std::function<Status(size_t)>& work) {
  const size_t processors = std::max(1U, std::thread::hardware_concurrency());
  const size_t workers = std::min({count, processors, kWorkers});
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  std::optional<Error> error;
  const auto run = [&] {
    for (size_t i = next++; i < count; i = next++) {
      Status status = work(i);
      if (status) continue;
      const std::lock_guard<std::mutex> guard(mutex);
      if (!error) error = std::move(status).error();
      next = count;
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < workers; ++i) threads.emplace_back(run);
  run();
  for (std::thread& thread : threads) thread.join();
  if (error) return Fail(*std::move(error));
  return {};
}

}  // namespace

bool HasLayer(const StorePaths& paths, const std::string& diff_id) {
  struct stat layer = {};
  if (::stat(paths.Layer(diff_id).c_str(), &layer) != 0) return false;
  const Result<RecipeHead> head = ReadRecipeHead(paths, diff_id);
  return head && head->image_bytes == static_cast<uint64_t>(layer.st_size);
}

Result<ImageParts> ParseParts(std::string manifest_text, std::string config_text,
                              const PullOptions& options) {
  ImageParts parts;
  parts.manifest_text = std::move(manifest_text);
  parts.config_text = std::move(config_text);
  HULL_ASSIGN(parts.manifest, ParseManifest(parts.manifest_text, options.limits.layers));
  HULL_ASSIGN(parts.summary,
              ParseConfig(parts.config_text, {options.os, options.architecture, options.variant}));
  if (parts.summary.diff_ids.size() != parts.manifest.layers.size()) {
    return Fail(ErrorCode::kCorrupt, "the manifest has {} layers, the image configuration {}",
                parts.manifest.layers.size(), parts.summary.diff_ids.size());
  }
  return parts;
}

Result<std::vector<bool>> Assembler::Pin(const ImageParts& parts) {
  HULL_ASSIGN(const FileLock lock, LockStore(paths_));
  HULL_TRY(PinLayers(scratch_, parts.summary.diff_ids));
  std::vector<bool> there;
  for (const std::string& diff_id : parts.summary.diff_ids)
    there.push_back(HasLayer(paths_, diff_id));
  return there;
}

Status Assembler::ImportOne(const Descriptor& descriptor, const std::string& diff_id, size_t number,
                            const BlobSource& blobs) {
  if (HasLayer(paths_, diff_id)) {
    Tell(PullProgress::Phase::kExists, descriptor.digest, 0, 0);
    return {};
  }
  LayerRequest request;
  HULL_ASSIGN(request.blob, blobs.find(descriptor));
  HULL_ASSIGN(const FileLock lock,
              FileLock::Acquire(paths_.Lock(fmt::format("layer-{}", HexOf(diff_id)))));
  if (HasLayer(paths_, diff_id)) {
    Tell(PullProgress::Phase::kExists, descriptor.digest, 0, 0);
    return {};
  }
  request.importer = importer_;
  request.descriptor = descriptor;
  request.diff_id = diff_id;
  request.target = fmt::format("{}/{}-{}.erofs", scratch_.path(), number, HexOf(diff_id));
  request.recipe = request.target + ".recipe";
  request.limit_bytes = options_.limits.layer_bytes;
  request.limit_entries = options_.limits.layer_entries;
  request.progress = [&](uint64_t done) {
    Tell(PullProgress::Phase::kImport, descriptor.digest, done, descriptor.size_bytes);
  };
  HULL_ASSIGN(const ImportedLayer layer, ImportLayer(request));
  HULL_TRY(WriteImplicitDirectories(paths_, scratch_.path(), diff_id, layer.implicit_directories));
  HULL_TRY(WriteLowerLinks(paths_, scratch_.path(), diff_id, layer.lower_links));
  // The layer comes last: where it is, the rest is.
  HULL_TRY(PublishRename(request.recipe, paths_.Recipe(diff_id)));
  HULL_TRY(PublishRename(request.target, paths_.Layer(diff_id)));
  if (blobs.release) blobs.release(descriptor);
  Tell(PullProgress::Phase::kDone, descriptor.digest, descriptor.size_bytes, descriptor.size_bytes);
  return {};
}

Status Assembler::ImportLayers(const ImageParts& parts, const BlobSource& blobs) {
  // An image may have the same layer several times (an empty one for each step that changed
  // nothing). Its blob is asked for once: it is let go of with the first.
  std::vector<size_t> first;
  std::vector<size_t> again;
  std::set<std::string_view> seen;
  for (size_t i = 0; i < parts.summary.diff_ids.size(); ++i) {
    (seen.insert(parts.summary.diff_ids[i]).second ? first : again).push_back(i);
  }
  HULL_TRY(ForEach(first.size(), [&](size_t i) {
    const size_t layer = first[i];
    return ImportOne(parts.manifest.layers[layer], parts.summary.diff_ids[layer], layer, blobs);
  }));
  for (const size_t layer : again) {
    Tell(PullProgress::Phase::kExists, parts.manifest.layers[layer].digest, 0, 0);
  }
  return {};
}

Status Assembler::Publish(const ImageParts& parts, const std::string& name,
                          const std::string& digest) {
  HULL_ASSIGN(std::vector<std::string> variants,
              MakeVariants(paths_, scratch_,
                           {importer_, options_.limits.layer_bytes, options_.limits.layer_entries},
                           parts.summary.diff_ids));
  const ImageRecord record{parts.manifest.config.digest, DigestOf(parts.manifest_text),
                           parts.summary.diff_ids, std::move(variants)};
  HULL_ASSIGN(const FileLock lock, LockStore(paths_));
  HULL_TRY(PublishFile(scratch_.path(), paths_.Blob(record.manifest_digest), parts.manifest_text));
  HULL_TRY(PublishFile(scratch_.path(), paths_.Blob(record.id), parts.config_text));
  HULL_TRY(PublishFile(scratch_.path(), paths_.ImageFile(record.id), EncodeImageRecord(record)));
  return GiveName(paths_, scratch_, name, {record.id, digest});
}

Status GiveName(const StorePaths& paths, const ScratchDirectory& scratch, const std::string& name,
                const NameRecord& record) {
  if (name.empty()) return {};
  HULL_ASSIGN(NameTable names, ReadNames(paths));
  NameRecord& entry = names[name];
  if (entry.id == record.id && entry.digest == record.digest) return {};
  entry = record;
  return PublishFile(scratch.path(), paths.Names(), EncodeNames(names));
}

}  // namespace hull::images
