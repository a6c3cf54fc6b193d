// ConsoleLog: the file that the guest's console is kept in, bounded whatever the guest writes: when
// it has reached its size, the older half goes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

class ConsoleLog {
 public:
  static constexpr uint64_t kMaximumBytes = 4U << 20U;

  // Appends to the file at `path`, or makes it (mode 0600).
  static Result<std::unique_ptr<ConsoleLog>> Open(const std::string& path,
                                                  uint64_t maximum_bytes = kMaximumBytes);

  // Any thread. What the host cannot store is dropped: the guest does not wait for a full disk.
  void Append(std::span<const std::byte> data);

 private:
  ConsoleLog(UniqueFd fd, uint64_t size_bytes, uint64_t maximum_bytes)
      : fd_(std::move(fd)), maximum_bytes_(maximum_bytes), size_bytes_(size_bytes) {}
  void DropOlderHalf();

  const UniqueFd fd_;
  const uint64_t maximum_bytes_;
  std::mutex mutex_;
  uint64_t size_bytes_;  // under mutex_
};

}  // namespace hull
