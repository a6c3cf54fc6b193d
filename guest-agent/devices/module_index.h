// modules.dep of an image: which file a kernel module is in, and what must be loaded before it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace hull::agent {

// 1 to 55 characters of [A-Za-z0-9_-]: what the kernel takes for a module's name, and modprobe
// besides.
bool IsModuleName(std::string_view name);

// "kernel/drivers/net/my-nic.ko.xz" as "my_nic": the name that the kernel knows a module by. Empty:
// not a module's file.
std::string ModuleNameOf(std::string_view path);

// The text is an image's, and not to be trusted: paths are handed out as they are.
class ModuleIndex {
 public:
  static constexpr size_t kMaxTextBytes = size_t{16} << 20;
  static constexpr size_t kMaxLoads = 256;

  // `text`: lines of "path: path path ...", as depmod writes them; each path below the directory of
  // the file, or absolute. What is not such a line is left out.
  explicit ModuleIndex(std::string text);

  // The files to load, in this order; the last is the module's own. kNotFound: it is not there.
  // kInvalidArgument: it needs more than kMaxLoads others.
  Result<std::vector<std::string>> FilesFor(std::string_view name) const;

 private:
  struct Entry {
    std::string_view path;
    std::string_view needs;  // separated by spaces, the first one last to be loaded
  };

  std::string text_;
  std::map<std::string, Entry> entries_;
};

}  // namespace hull::agent
