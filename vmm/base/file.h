// Small file operations with errors that name the path. All descriptors are close-on-exec.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

// open(2) with O_CLOEXEC added.
Result<UniqueFd> OpenFile(const std::string& path, int flags, mode_t mode = 0);

// The whole file; kExhausted when it is larger than `cap_bytes`.
Result<std::string> ReadFile(const std::string& path, uint64_t cap_bytes);

// Writes all of `data`, retrying short writes and EINTR.
Status WriteAll(int fd, std::span<const std::byte> data);
Status WriteAll(int fd, std::string_view data);

// Creates or replaces `path` in one step: written beside it, then renamed over it, so that a reader
// (or a kill) sees the old content or the new one, never a part.
Status WriteFileAtomically(const std::string& path, std::string_view data, mode_t mode);

// mkdir -p; existing directories are fine.
Status MakeDirectories(const std::string& path, mode_t mode);

Result<uint64_t> FileSizeBytes(int fd, std::string_view name);

}  // namespace hull
