// Writes the tar that an image archive is: files with names that hull chose, nothing else. That
// little is written here and not by libarchive, whose writer would bring every format and library
// it knows into hull.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "vmm/base/result.h"

namespace hull::images {

class ArchiveWriter {
 public:
  using Sink = std::function<Status(std::string_view)>;

  explicit ArchiveWriter(Sink sink) : sink_(std::move(sink)) {}

  // `name`: at most 100 bytes. The same entries always give the same bytes: all are root's, of
  // 1970.
  Status AddDirectory(std::string_view name);
  Status AddFile(std::string_view name, std::string_view content);
  // A file whose content comes in pieces: `size_bytes` of Write, then EndFile.
  Status BeginFile(std::string_view name, uint64_t size_bytes);
  Status Write(std::string_view data);
  Status EndFile();
  // The end mark.
  Status Finish();

 private:
  Status WriteHeader(std::string_view name, char type, uint64_t size_bytes);

  Sink sink_;
  uint64_t file_bytes_ = 0;
};

}  // namespace hull::images
