#include "images/import/archive_split.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "images/import/blob_reader.h"
#include "vmm/base/file.h"

namespace hull::images {
namespace {

struct ArchiveFree {
  void operator()(archive* reader) const { archive_read_free(reader); }
};

Status WriteHeader(int fd, SplitKind kind, std::string_view name, uint64_t content_bytes) {
  std::array<std::byte, kSplitHeaderBytes> header;
  const auto name_bytes = static_cast<uint32_t>(name.size());
  header[0] = static_cast<std::byte>(kind);
  std::memcpy(header.data() + 1, &name_bytes, sizeof(name_bytes));
  std::memcpy(header.data() + 5, &content_bytes, sizeof(content_bytes));
  HULL_TRY(WriteAll(fd, header));
  return WriteAll(fd, name);
}

class Splitter {
 public:
  Splitter(int archive_fd, int out_fd, const SplitLimits& limits)
      : blob_(archive_fd, limits.bytes, false), out_fd_(out_fd), limits_(limits) {}

  Status Run();

 private:
  static la_ssize_t Read(archive* reader, void* self, const void** data);
  Status AddEntry(archive_entry* entry);
  Status CopyContent(uint64_t bytes);
  tl::unexpected<Error> ArchiveError();

  BlobReader blob_;
  int out_fd_;
  SplitLimits limits_;
  uint64_t entries_ = 0;
  std::unique_ptr<archive, ArchiveFree> reader_;
  std::optional<Error> blob_error_;  // libarchive's callback can only say that it failed
};

la_ssize_t Splitter::Read(archive* reader, void* self, const void** data) {
  auto* splitter = static_cast<Splitter*>(self);
  Result<std::span<const std::byte>> piece = splitter->blob_.Next();
  if (!piece) {
    splitter->blob_error_ = std::move(piece).error();
    archive_set_error(reader, EIO, "read");
    return -1;
  }
  *data = piece->data();
  return static_cast<la_ssize_t>(piece->size());
}

tl::unexpected<Error> Splitter::ArchiveError() {
  if (blob_error_) return Fail(*std::move(blob_error_));
  const char* message = archive_error_string(reader_.get());
  return Fail(ErrorCode::kCorrupt, "it is no tar, or a damaged one: {}",
              message != nullptr ? message : "it ends early");
}

// Exactly `bytes`, whatever the archive does: holes as zeros, what is missing is an error.
Status Splitter::CopyContent(uint64_t bytes) {
  uint64_t done = 0;
  const auto fill_to = [&](uint64_t offset) -> Status {
    constexpr size_t kChunk = 4096;
    const std::array<std::byte, kChunk> zeros = {};
    while (done < offset) {
      const size_t count = static_cast<size_t>(std::min<uint64_t>(kChunk, offset - done));
      HULL_TRY(WriteAll(out_fd_, std::span(zeros).first(count)));
      done += count;
    }
    return {};
  };
  for (;;) {
    const void* data = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    const int status = archive_read_data_block(reader_.get(), &data, &size, &offset);
    if (status == ARCHIVE_EOF) return fill_to(bytes);
    if (status != ARCHIVE_OK) return ArchiveError();
    const auto start = static_cast<uint64_t>(offset);
    if (offset < 0 || start < done || start > bytes || size > bytes - start)
      return Fail(ErrorCode::kCorrupt, "the pieces of a sparse file do not fit together");
    HULL_TRY(fill_to(start));
    HULL_TRY(WriteAll(out_fd_, std::span(static_cast<const std::byte*>(data), size)));
    done += size;
  }
}

Status Splitter::AddEntry(archive_entry* entry) {
  const char* raw_path = archive_entry_pathname(entry);
  const std::string path = raw_path == nullptr ? "" : raw_path;
  const char* target = archive_entry_hardlink(entry);
  const bool is_link = target != nullptr || archive_entry_filetype(entry) == AE_IFLNK;
  if (target == nullptr && is_link) target = archive_entry_symlink(entry);
  if (!is_link && archive_entry_filetype(entry) != AE_IFREG) return {};
  if (++entries_ > limits_.entries) {
    return Fail(ErrorCode::kExhausted, "the archive has more than {} files", limits_.entries);
  }
  if (path.empty() || path.size() > kSplitNameBytes)
    return Fail(ErrorCode::kCorrupt, "the archive has a file with an impossible name");
  if (is_link) {
    const std::string_view to = target == nullptr ? "" : target;
    if (to.size() > kSplitNameBytes)
      return Fail(ErrorCode::kCorrupt, "the archive has a link with an impossible target");
    HULL_TRY(WriteHeader(out_fd_, SplitKind::kLink, path, to.size()));
    return WriteAll(out_fd_, to);
  }
  const la_int64_t size = archive_entry_size(entry);
  if (size < 0 || static_cast<uint64_t>(size) > limits_.bytes)
    return Fail(ErrorCode::kExhausted, "\"{}\" is over the {} bytes allowed", path, limits_.bytes);
  HULL_TRY(WriteHeader(out_fd_, SplitKind::kFile, path, static_cast<uint64_t>(size)));
  return CopyContent(static_cast<uint64_t>(size));
}

Status Splitter::Run() {
  reader_.reset(archive_read_new());
  if (reader_ == nullptr || archive_read_support_format_tar(reader_.get()) != ARCHIVE_OK)
    return Fail(ErrorCode::kExhausted, "no memory to read the archive with");
  if (archive_read_open(reader_.get(), this, nullptr, &Splitter::Read, nullptr) != ARCHIVE_OK)
    return ArchiveError();
  for (;;) {
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(reader_.get(), &entry);
    if (status == ARCHIVE_EOF) break;
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return ArchiveError();
    HULL_TRY(AddEntry(entry));
  }
  // Whoever writes the archive into a pipe is not to find it closed.
  for (;;) {
    HULL_ASSIGN(const std::span<const std::byte> rest, blob_.Next());
    if (rest.empty()) break;
  }
  return WriteHeader(out_fd_, SplitKind::kEnd, "", 0);
}

}  // namespace

Status SplitArchive(int archive_fd, int out_fd, const SplitLimits& limits) {
  return Splitter(archive_fd, out_fd, limits).Run();
}

}  // namespace hull::images
