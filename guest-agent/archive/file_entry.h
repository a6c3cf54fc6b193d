// Files as entries of an archive: what is said of one, and its data.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "guest-agent/archive/tar_writer.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::archive {

// Names of a directory but "." and "..", sorted.
Result<std::vector<std::string>> ListDirectory(int directory);

// Opens the directory `name` in `parent`, not through a link.
Result<UniqueFd> OpenDirectoryAt(int parent, const std::string& name);

// One attribute; empty when it is not there or cannot be read.
std::string AttributeAt(int parent, const std::string& name, const char* attribute);

// Adds entries to a tar: hard links once, holes as holes. Which links were seen lives as long as
// it.
class EntryWriter {
 public:
  explicit EntryWriter(TarWriter& tar) : tar_(tar) {}

  // `name` in the open directory `parent`, as `path` in the archive, with its data. Sockets are
  // left out. No directory's content.
  Status Add(int parent, const std::string& name, const std::string& path,
             const struct stat& status);

  const std::vector<std::string>& warnings() const { return warnings_; }
  void Warn(std::string warning);

 private:
  Status AddData(int file, const Entry& entry);
  Status CopySegment(int file, const Segment& segment, const Entry& entry);

  TarWriter& tar_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  std::vector<std::string> warnings_;
};

}  // namespace hull::archive
