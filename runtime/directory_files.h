// Directories of hull's own: opened, locked, read and removed. Only containers.cc and its
// neighbours use this.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace hull {

// mkdir, and its parents when they are missing. kAlreadyExists: it is there.
Status MakeDirectory(const std::string& path);

// Removes a directory that has only files in it. Not being there is success.
Status RemoveFlatDirectory(const std::string& path);

// Opens a directory itself. kNotFound.
Result<UniqueFd> OpenDirectory(const std::string& path);

// Whether `path` still is what `fd` was opened as.
bool IsStill(const std::string& path, int fd);

// Calls `visit` with each name in the directory but "." and "..". No directory, no calls.
Status ForEachName(const std::string& path, const std::function<void(std::string_view)>& visit);

}  // namespace hull
