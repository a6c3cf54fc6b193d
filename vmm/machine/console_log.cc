#include "vmm/machine/console_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "vmm/base/file.h"

namespace hull {

Result<std::unique_ptr<ConsoleLog>> ConsoleLog::Open(const std::string& path,
                                                     uint64_t maximum_bytes) {
  HULL_ASSIGN(UniqueFd fd, OpenFile(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600));
  HULL_ASSIGN(const uint64_t size_bytes, FileSizeBytes(fd.get(), path));
  return std::unique_ptr<ConsoleLog>(new ConsoleLog(std::move(fd), size_bytes, maximum_bytes));
}

void ConsoleLog::Append(std::span<const std::byte> data) {
  const std::lock_guard lock(mutex_);
  if (data.size() > maximum_bytes_ / 2) data = data.last(maximum_bytes_ / 2);
  if (size_bytes_ + data.size() > maximum_bytes_) DropOlderHalf();
  const ssize_t count =
      ::pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(size_bytes_));
  if (count > 0) size_bytes_ += static_cast<uint64_t>(count);
}

void ConsoleLog::DropOlderHalf() {
  const uint64_t keep_bytes = maximum_bytes_ / 2;
  std::array<std::byte, 16384> buffer;
  uint64_t from = size_bytes_ > keep_bytes ? size_bytes_ - keep_bytes : 0;
  uint64_t to = 0;
  while (from < size_bytes_) {
    const ssize_t count =
        ::pread(fd_.get(), buffer.data(), buffer.size(), static_cast<off_t>(from));
    if (count <= 0) break;
    if (::pwrite(fd_.get(), buffer.data(), static_cast<size_t>(count), static_cast<off_t>(to)) !=
        count) {
      break;
    }
    from += static_cast<uint64_t>(count);
    to += static_cast<uint64_t>(count);
  }
  size_bytes_ = ::ftruncate(fd_.get(), static_cast<off_t>(to)) == 0 ? to : 0;
}

}  // namespace hull
