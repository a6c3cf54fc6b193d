// The file of --cidfile: made empty before the container, so that nobody else takes the name, and
// written once the container is there.
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::cli {

class CidFile {
 public:
  // No file: Write does nothing.
  CidFile() = default;
  CidFile(CidFile&& other) noexcept = default;
  CidFile& operator=(CidFile&& other) = delete;
  // Removes the file if nothing was written: the container did not come to be.
  ~CidFile();

  // `path` empty: none wanted. Errors in docker's words: kAlreadyExists, or why it cannot be made.
  static Result<CidFile> Create(std::string path);

  Status Write(std::string_view container_id);

 private:
  UniqueFd fd_;
  std::string path_;
};

}  // namespace hull::cli
