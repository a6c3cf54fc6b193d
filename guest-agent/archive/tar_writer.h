// Writes a tar (POSIX.1-2001 pax interchange format): names and attributes are bytes of any length,
// times have nanoseconds, files may have holes. libarchive's own writer would bring every format it
// knows, and their libraries, into the guest.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/base/result.h"

namespace hull::archive {

struct Segment {
  uint64_t offset = 0;
  uint64_t size = 0;
};

// What is said of a file: what the formats of images and archives have in common.
struct Entry {
  std::string path;   // directories end with a slash
  mode_t mode = 0;    // type and permissions
  uint64_t size = 0;  // of a regular file
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime_s = 0;
  uint32_t mtime_ns = 0;
  uint32_t device_major = 0;
  uint32_t device_minor = 0;
  std::string link;        // target of a symbolic link, or of a hard link
  bool hard_link = false;  // `link` names an earlier entry; there is no data
  std::vector<std::pair<std::string, std::string>> xattrs;
  // Where a regular file with holes has data, in order; empty: everywhere.
  std::vector<Segment> segments;
  bool sparse = false;
};

class TarWriter {
 public:
  using Sink = std::function<Status(std::span<const std::byte>)>;
  explicit TarWriter(Sink sink) : sink_(std::move(sink)) {}

  // The entry's headers. A regular file's data follows by Data(): all of it, or for a sparse one
  // that of its segments; then the next Begin or Finish.
  Status Begin(const Entry& entry);
  Status Data(std::span<const std::byte> data);
  Status Finish();

  uint64_t entries() const { return entries_; }

 private:
  Status Pad();
  Status Emit(std::string_view text);
  Status ExtendedHeader(const std::string& records);

  Sink sink_;
  uint64_t in_entry_ = 0;  // bytes of data since the header
  uint64_t entries_ = 0;
};

}  // namespace hull::archive
