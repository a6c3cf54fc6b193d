#include "images/import/testing/tar_builder.h"

#include <archive.h>
#include <archive_entry.h>
#include <zlib.h>
#include <zstd.h>

#include "vmm/base/check.h"

namespace hull::images::testing {
namespace {

la_ssize_t Append(archive* /*writer*/, void* text, const void* data, size_t size) {
  static_cast<std::string*>(text)->append(static_cast<const char*>(data), size);
  return static_cast<la_ssize_t>(size);
}

}  // namespace

TarBuilder::TarBuilder() : writer_(archive_write_new()) {
  HULL_CHECK(archive_write_set_format_pax(writer_) == ARCHIVE_OK);
  HULL_CHECK(archive_write_set_format_option(writer_, "pax", "hdrcharset", "BINARY") == ARCHIVE_OK);
  HULL_CHECK(archive_write_set_bytes_in_last_block(writer_, 1) == ARCHIVE_OK);
  HULL_CHECK(archive_write_set_bytes_per_block(writer_, 0) == ARCHIVE_OK);
  HULL_CHECK(archive_write_open(writer_, &tar_, nullptr, Append, nullptr) == ARCHIVE_OK);
}

TarBuilder::~TarBuilder() {
  if (writer_ != nullptr) archive_write_free(writer_);
}

TarBuilder& TarBuilder::Add(const TarEntry& entry) {
  archive_entry* header = archive_entry_new();
  archive_entry_set_pathname(header, entry.path.c_str());
  archive_entry_set_mode(header, entry.mode);
  archive_entry_set_uid(header, entry.uid);
  archive_entry_set_gid(header, entry.gid);
  archive_entry_set_mtime(header, entry.mtime_s, entry.mtime_ns);
  archive_entry_set_rdevmajor(header, entry.device_major);
  archive_entry_set_rdevminor(header, entry.device_minor);
  if (!entry.target.empty()) archive_entry_set_symlink(header, entry.target.c_str());
  if (!entry.hard_link.empty()) archive_entry_set_hardlink(header, entry.hard_link.c_str());
  for (const auto& [name, value] : entry.xattrs) {
    archive_entry_xattr_add_entry(header, name.c_str(), value.data(), value.size());
  }
  const auto size = static_cast<int64_t>(entry.content.size());
  archive_entry_set_size(header, size);
  HULL_CHECK(archive_write_header(writer_, header) >= ARCHIVE_WARN);
  if (size > 0)
    HULL_CHECK(archive_write_data(writer_, entry.content.data(), entry.content.size()) >= 0);
  archive_entry_free(header);
  return *this;
}

std::string TarBuilder::Finish() {
  archive_write_close(writer_);
  archive_write_free(writer_);
  writer_ = nullptr;
  return std::move(tar_);
}

std::string Gzip(std::string_view data) {
  z_stream stream = {};
  HULL_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, data.size()), '\0');
  // SAFETY: zlib does not write to its input.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  HULL_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string Zstd(std::string_view data) {
  std::string out(ZSTD_compressBound(data.size()), '\0');
  const size_t size = ZSTD_compress(out.data(), out.size(), data.data(), data.size(), 3);
  HULL_CHECK(ZSTD_isError(size) == 0);
  out.resize(size);
  return out;
}

}  // namespace hull::images::testing
