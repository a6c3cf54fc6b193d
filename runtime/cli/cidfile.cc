#include "runtime/cli/cidfile.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/base/file.h"

namespace hull::cli {

CidFile::~CidFile() {
  if (fd_.valid()) unlink(path_.c_str());
}

Result<CidFile> CidFile::Create(std::string path) {
  CidFile file;
  if (path.empty()) return file;
  constexpr mode_t kMode = 0644;
  file.fd_ = UniqueFd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kMode));
  if (!file.fd_.valid()) {
    if (errno == EEXIST) {
      return Fail(ErrorCode::kAlreadyExists,
                  "container ID file found, make sure the other container isn't running or delete "
                  "{}",
                  path);
    }
    const int error_number = errno;
    return Fail(Error::FromErrno(error_number, fmt::format("open {}", path))
                    .Within("failed to create the container ID file"));
  }
  file.path_ = std::move(path);
  return file;
}

Status CidFile::Write(std::string_view container_id) {
  if (!fd_.valid()) return {};
  HULL_TRY_WITHIN("failed to write the container ID to the file",
                  WriteAll(fd_.get(), container_id));
  fd_ = UniqueFd();
  return {};
}

}  // namespace hull::cli
