#include "vmm/vfio/host.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string_view>

#include "vmm/base/file.h"

namespace hull::vfio {
namespace {

class LinuxHost final : public Host {
 public:
  Result<UniqueFd> Open(const std::string& path) override { return OpenFile(path, O_RDWR); }

  Result<std::string> ReadLink(const std::string& path) override {
    std::array<char, 4096> target;
    const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
    if (length < 0) return FailErrno("readlink {}", path);
    return std::string(target.data(), static_cast<size_t>(length));
  }

  Result<std::string> FindEntry(const std::string& directory, const std::string& prefix) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> opened(::opendir(directory.c_str()), &::closedir);
    if (!opened) return FailErrno("open {}", directory);
    while (const dirent* const entry = ::readdir(opened.get())) {
      const std::string_view name = &entry->d_name[0];
      if (name.starts_with(prefix)) return std::string(name);
    }
    return Fail(ErrorCode::kNotFound, "{} has no {}*", directory, prefix);
  }

  int Ioctl(int fd, unsigned long request, void* argument) override {
    return ::ioctl(fd, request, argument);
  }
  int Ioctl(int fd, unsigned long request, unsigned long argument) override {
    return ::ioctl(fd, request, argument);
  }
  ssize_t Read(int fd, std::span<std::byte> data, uint64_t offset) override {
    return ::pread(fd, data.data(), data.size(), static_cast<off_t>(offset));
  }
  ssize_t Write(int fd, std::span<const std::byte> data, uint64_t offset) override {
    return ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
  }
  Result<void*> Map(int fd, uint64_t offset, uint64_t size_bytes, int protection) override {
    void* const mapped =
        ::mmap(nullptr, size_bytes, protection, MAP_SHARED, fd, static_cast<off_t>(offset));
    if (mapped == MAP_FAILED) return FailErrno("map {} bytes of a device", size_bytes);
    return mapped;
  }
  void Unmap(void* address, uint64_t size_bytes) override { ::munmap(address, size_bytes); }
};

}  // namespace

Host& Host::Linux() {
  static LinuxHost host;
  return host;
}

}  // namespace hull::vfio
