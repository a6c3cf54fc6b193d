// An image archive brought into a directory, file by file, by a confined hull-import
// (images/import/archive_split.h). Names in the archive never become names on the host, save for
// those of an OCI layout, which are digests.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "images/store/store.h"
#include "vmm/base/result.h"

namespace hull::images {

class SplitArchiveFiles {
 public:
  // Reads the archive from `fd` to its end. `directory`: exists, empty, on the store's file system.
  static Result<SplitArchiveFiles> Read(int fd, const std::string& importer,
                                        const std::string& directory, const PullOptions& options);

  // Where the file is that the archive calls `name`, after links; empty when there is none.
  std::string Path(std::string_view name) const;
  bool Has(std::string_view name) const { return !Path(name).empty(); }

 private:
  friend class FrameReader;

  std::map<std::string, std::string, std::less<>> files_;  // name in the archive: path
  std::map<std::string, std::string, std::less<>> links_;  // name: name
};

}  // namespace hull::images
