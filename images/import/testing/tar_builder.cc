#include "images/import/testing/tar_builder.h"

#include <archive.h>
#include <archive_entry.h>
#include <bzlib.h>
#include <lzma.h>
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
  if (entry.acl_group >= 0) {
    const auto add = [&](int tag, int permissions, int id) {
      archive_entry_acl_add_entry(header, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, permissions, tag, id, "");
    };
    const auto mode = static_cast<int>(entry.mode);
    add(ARCHIVE_ENTRY_ACL_USER_OBJ, mode >> 6 & 7, -1);
    add(ARCHIVE_ENTRY_ACL_USER, 6, 1000);
    add(ARCHIVE_ENTRY_ACL_GROUP_OBJ, entry.acl_group, -1);
    add(ARCHIVE_ENTRY_ACL_MASK, mode >> 3 & 7, -1);
    add(ARCHIVE_ENTRY_ACL_OTHER, mode & 7, -1);
    archive_entry_set_perm(header, entry.mode & 07777);
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

std::string Xz(std::string_view data) {
  std::string out(lzma_stream_buffer_bound(data.size()), '\0');
  size_t size = 0;
  // SAFETY: characters seen as bytes, with their sizes.
  HULL_CHECK(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, nullptr,
                                     reinterpret_cast<const uint8_t*>(data.data()), data.size(),
                                     reinterpret_cast<uint8_t*>(out.data()), &size,
                                     out.size()) == LZMA_OK);
  out.resize(size);
  return out;
}

std::string Bzip2(std::string_view data) {
  std::string out(data.size() + data.size() / 100 + 600, '\0');
  auto size = static_cast<unsigned int>(out.size());
  // SAFETY: the library does not write to its input.
  HULL_CHECK(BZ2_bzBuffToBuffCompress(out.data(), &size, const_cast<char*>(data.data()),
                                      static_cast<unsigned int>(data.size()), 1, 0, 0) == BZ_OK);
  out.resize(size);
  return out;
}

}  // namespace hull::images::testing
