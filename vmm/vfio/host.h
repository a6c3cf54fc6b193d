// Host: the system calls by which VFIO is reached, so that tests can be the kernel.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull::vfio {

class Host {
 public:
  virtual ~Host() = default;

  // open(2) for reading and writing, close-on-exec.
  virtual Result<UniqueFd> Open(const std::string& path) = 0;
  // What a symbolic link says; kNotFound without one.
  virtual Result<std::string> ReadLink(const std::string& path) = 0;
  // The name of the first entry of a directory that begins with `prefix`; kNotFound without one.
  virtual Result<std::string> FindEntry(const std::string& directory,
                                        const std::string& prefix) = 0;
  // As ioctl(2): -1 and errno on failure.
  virtual int Ioctl(int fd, unsigned long request, void* argument) = 0;
  virtual int Ioctl(int fd, unsigned long request, unsigned long argument) = 0;
  virtual ssize_t Read(int fd, std::span<std::byte> data, uint64_t offset) = 0;
  virtual ssize_t Write(int fd, std::span<const std::byte> data, uint64_t offset) = 0;
  // A shared mapping, readable and writable as told; its address.
  virtual Result<void*> Map(int fd, uint64_t offset, uint64_t size_bytes, int protection) = 0;
  virtual void Unmap(void* address, uint64_t size_bytes) = 0;

  // The real one.
  static Host& Linux();
};

}  // namespace hull::vfio
