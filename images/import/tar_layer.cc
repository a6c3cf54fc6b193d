#include "images/import/tar_layer.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "images/import/below_reader.h"
#include "images/import/blob_reader.h"
#include "images/import/erofs_writer.h"
#include "images/import/layer_tree.h"
#include "images/import/recipe.h"

namespace hull::images {
namespace {

struct ArchiveFree {
  void operator()(archive* reader) const { archive_read_free(reader); }
};

// Linux has 12 bits for the major number of a device and 20 for the minor (linux/kdev_t.h).
constexpr uint64_t kMajorBits = 12;
constexpr uint64_t kMinorBits = 20;

class Converter {
 public:
  Converter(int blob_fd, int image_fd, int recipe_fd, const TarLimits& limits)
      : blob_(blob_fd, limits.bytes),
        writer_(image_fd, limits.bytes),
        recipe_(recipe_fd),
        tree_(TreeLimits{.entries = limits.entries}) {}

  Status AddBelow(int below_fd);
  Result<TarLayerReport> Run();

 private:
  static la_ssize_t Read(archive* reader, void* self, const void** data);

  Result<std::span<const std::byte>> NextPiece();
  Result<archive_entry*> NextEntry();
  Status AddEntry(archive_entry* entry);
  Status CopyData(Inode& inode, archive_entry* entry, std::string_view path);
  tl::unexpected<Error> ArchiveError(std::string_view path);

  BlobReader blob_;
  ErofsWriter writer_;
  RecipeWriter recipe_;
  LayerTree tree_;
  std::unique_ptr<archive, ArchiveFree> reader_;
  std::optional<Error> blob_error_;  // libarchive's callback can only say that it failed
};

// The next piece of the tar, empty at its end. The one before is no longer valid.
Result<std::span<const std::byte>> Converter::NextPiece() {
  HULL_TRY(recipe_.EndPiece());
  HULL_ASSIGN(const std::span<const std::byte> piece, blob_.Next());
  recipe_.BeginPiece(piece);
  return piece;
}

la_ssize_t Converter::Read(archive* reader, void* self, const void** data) {
  auto* converter = static_cast<Converter*>(self);
  Result<std::span<const std::byte>> piece = converter->NextPiece();
  if (!piece) {
    converter->blob_error_ = std::move(piece).error();
    archive_set_error(reader, EIO, "read");
    return -1;
  }
  *data = piece->data();
  return static_cast<la_ssize_t>(piece->size());
}

tl::unexpected<Error> Converter::ArchiveError(std::string_view path) {
  if (blob_error_) return Fail(*std::move(blob_error_));
  const char* message = archive_error_string(reader_.get());
  Error error(ErrorCode::kCorrupt, fmt::format("the tar is damaged: {}",
                                               message != nullptr ? message : "it ends early"));
  if (!path.empty()) error = std::move(error).Within(fmt::format("\"{}\"", path));
  return Fail(std::move(error));
}

// Null at the end of the archive. ARCHIVE_WARN is let pass: in the C locale, which keeps names as
// the bytes they are, libarchive warns of every name that is not ASCII.
Result<archive_entry*> Converter::NextEntry() {
  archive_entry* entry = nullptr;
  const int status = archive_read_next_header(reader_.get(), &entry);
  if (status == ARCHIVE_EOF) return nullptr;
  if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return ArchiveError("");
  return entry;
}

uint32_t EncodeDevice(uint64_t device_major, uint64_t device_minor) {
  return static_cast<uint32_t>((device_minor & 0xff) | (device_major << 8) |
                               ((device_minor & ~uint64_t{0xff}) << 12));
}

// The mode that the header has. What the tar says of an ACL (SCHILY.acl.access) changes the one of
// libarchive's: there the group's bits become those of the ACL's group, stat(2) has the mask's.
uint32_t ModeOf(archive_entry* entry) {
  constexpr uint32_t kGroupShift = 3;
  uint32_t mode = archive_entry_mode(entry);
  // Linux has one mode for all symbolic links.
  if (S_ISLNK(mode)) return S_IFLNK | 0777;
  if (archive_entry_acl_reset(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS) == 0) return mode;
  int type = 0;
  int permissions = 0;
  int tag = 0;
  int id = 0;
  const char* name = nullptr;
  while (archive_entry_acl_next(entry, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, &type, &permissions, &tag,
                                &id, &name) == ARCHIVE_OK) {
    if (tag != ARCHIVE_ENTRY_ACL_MASK) continue;
    mode = (mode & ~uint32_t{S_IRWXG}) |
           ((static_cast<uint32_t>(permissions) & S_IRWXO) << kGroupShift);
  }
  return mode;
}

Result<Metadata> MetadataOf(archive_entry* entry) {
  Metadata metadata;
  metadata.mode = ModeOf(entry);
  const la_int64_t uid = archive_entry_uid(entry);
  const la_int64_t gid = archive_entry_gid(entry);
  // The last value means "none" to the kernel.
  if (uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX) {
    return Fail(ErrorCode::kCorrupt, "has an owner that cannot be: {}:{}", uid, gid);
  }
  metadata.uid = static_cast<uint32_t>(uid);
  metadata.gid = static_cast<uint32_t>(gid);
  metadata.mtime_s = archive_entry_mtime(entry);
  metadata.mtime_ns = static_cast<uint32_t>(archive_entry_mtime_nsec(entry)) % 1'000'000'000;
  archive_entry_xattr_reset(entry);
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
    metadata.xattrs.push_back({name, std::string(static_cast<const char*>(value), size)});
  }
  return metadata;
}

Status Converter::CopyData(Inode& inode, archive_entry* entry, std::string_view path) {
  const la_int64_t size = archive_entry_size(entry);
  if (size < 0) return Fail(ErrorCode::kCorrupt, "\"{}\" has a negative size", path);
  HULL_TRY_WITHIN(fmt::format("\"{}\"", path),
                  writer_.BeginFile(inode, static_cast<uint64_t>(size)));
  for (;;) {
    const void* data = nullptr;
    size_t bytes = 0;
    la_int64_t offset = 0;
    const int status = archive_read_data_block(reader_.get(), &data, &bytes, &offset);
    if (status == ARCHIVE_EOF) return {};
    if (status != ARCHIVE_OK) return ArchiveError(path);
    if (bytes == 0) continue;
    const auto block = std::span(static_cast<const std::byte*>(data), bytes);
    HULL_TRY_WITHIN(fmt::format("\"{}\"", path),
                    writer_.WriteFile(static_cast<uint64_t>(offset), block));
    // The innermost filter's position is the tar's: all before this block has been consumed.
    const auto tar_position = static_cast<uint64_t>(archive_filter_bytes(reader_.get(), 0));
    HULL_TRY(recipe_.AddData(tar_position, block,
                             writer_.file_position() + static_cast<uint64_t>(offset)));
  }
}

Status Converter::AddEntry(archive_entry* entry) {
  const char* raw_path = archive_entry_pathname(entry);
  if (raw_path == nullptr) return Fail(ErrorCode::kCorrupt, "the tar has an entry without a name");
  const std::string path = raw_path;
  if (const char* target = archive_entry_hardlink(entry); target != nullptr) {
    return tree_.AddHardLink(path, target);
  }
  HULL_ASSIGN_WITHIN(fmt::format("\"{}\"", path), Metadata metadata, MetadataOf(entry));
  const uint32_t type = metadata.mode & S_IFMT;
  if (type != S_IFREG && type != S_IFDIR && type != S_IFLNK && type != S_IFCHR && type != S_IFBLK &&
      type != S_IFIFO) {
    return Fail(ErrorCode::kCorrupt, "\"{}\" is of a type that tar does not have: {:o}", path,
                type);
  }
  HULL_ASSIGN(Inode * inode, tree_.Add(path, std::move(metadata)));
  if (inode == nullptr) return {};
  if (type == S_IFREG) return CopyData(*inode, entry, path);
  if (type == S_IFLNK) {
    const char* target = archive_entry_symlink(entry);
    if (target == nullptr || *target == '\0' || std::string_view(target).size() >= PATH_MAX) {
      return Fail(ErrorCode::kCorrupt, "\"{}\" is a symbolic link with an impossible target", path);
    }
    inode->target = target;
  }
  if (type == S_IFCHR || type == S_IFBLK) {
    const auto device_major = static_cast<uint64_t>(archive_entry_rdevmajor(entry));
    const auto device_minor = static_cast<uint64_t>(archive_entry_rdevminor(entry));
    if (device_major >> kMajorBits != 0 || device_minor >> kMinorBits != 0) {
      return Fail(ErrorCode::kCorrupt, "\"{}\" is a device that cannot be: {}:{}", path,
                  device_major, device_minor);
    }
    inode->device = EncodeDevice(device_major, device_minor);
  }
  return {};
}

Status Converter::AddBelow(int below_fd) {
  BelowReader below(below_fd);
  for (;;) {
    HULL_ASSIGN(std::optional<BelowFile> file, below.Next());
    if (!file) return {};
    const bool regular = S_ISREG(file->metadata.mode);
    HULL_ASSIGN(Inode* const inode, tree_.AddBelow(file->path, std::move(file->metadata)));
    inode->target = std::move(file->target);
    inode->device = file->device;
    if (!regular) continue;
    HULL_TRY(writer_.BeginFile(*inode, file->data_bytes));
    HULL_TRY(below.ReadData(*file, [this](uint64_t offset, std::span<const std::byte> data) {
      return writer_.WriteFile(offset, data);
    }));
  }
}

Result<TarLayerReport> Converter::Run() {
  reader_.reset(archive_read_new());
  if (reader_ == nullptr || archive_read_support_format_tar(reader_.get()) != ARCHIVE_OK ||
      archive_read_support_format_empty(reader_.get()) != ARCHIVE_OK) {
    return Fail(ErrorCode::kExhausted, "no memory to read the tar with");
  }
  if (archive_read_open(reader_.get(), this, nullptr, &Converter::Read, nullptr) != ARCHIVE_OK) {
    return ArchiveError("");
  }
  for (;;) {
    HULL_ASSIGN(archive_entry * entry, NextEntry());
    if (entry == nullptr) break;
    HULL_TRY(AddEntry(entry));
  }
  // Behind the tar's end mark: padding, which belongs to the digests.
  for (;;) {
    HULL_ASSIGN(const std::span<const std::byte> rest, NextPiece());
    if (rest.empty()) break;
  }
  TarLayerReport report;
  report.blob_digest = blob_.FinishBlobDigest();
  report.blob_bytes = blob_.blob_bytes();
  report.diff_id = blob_.FinishTarDigest();
  report.tar_bytes = blob_.tar_bytes();
  report.implicit_directories = tree_.ImplicitDirectories();
  report.lower_links = {tree_.LowerLinks().begin(), tree_.LowerLinks().end()};
  report.dropped_xattrs = tree_.dropped_xattrs();
  tree_.ResolveWhiteouts();
  HULL_TRY(writer_.Finish(*tree_.root(), report.diff_id));
  report.image_bytes = writer_.image_bytes();
  HULL_TRY(recipe_.Finish(report.image_bytes));
  return report;
}

}  // namespace

Result<TarLayerReport> ConvertTarLayer(int blob_fd, int image_fd, int recipe_fd,
                                       const TarLimits& limits, int below_fd) {
  Converter converter(blob_fd, image_fd, recipe_fd, limits);
  if (below_fd >= 0) HULL_TRY(converter.AddBelow(below_fd));
  return converter.Run();
}

}  // namespace hull::images
