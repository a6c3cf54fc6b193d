// The host's files (sysfs, procfs, /dev, /etc) under a root directory. Everything in
// runtime/devices reads and writes them through this, so that a test can make up a host.
//
// What is read is capped; a file that is missing or cannot be read is empty, for devices come and
// go while they are looked at. Paths are absolute, as on the host. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace hull::devices {

class HostTree {
 public:
  // A test's kernel: what writing `text` into the file at `path` (without the root) does.
  using Writer = std::function<Status(const std::string& path, std::string_view text)>;

  // `root`: "" for this host.
  explicit HostTree(std::string root = {}, Writer writer = {});

  // This host; or, for tests of whole programs and for nothing else, the made-up one at
  // HULL_HOST_ROOT.
  static HostTree FromEnvironment();

  const std::string& root() const { return root_; }
  bool is_this_host() const { return root_.empty(); }
  // Where `path` really is.
  std::string Real(std::string_view path) const { return root_ + std::string(path); }

  bool Exists(const std::string& path) const;
  // Content without its last line feed; at most `cap_bytes` of it count, a larger file is empty.
  std::string Read(const std::string& path, uint64_t cap_bytes = 64 * 1024) const;
  // A decimal number, or a hexadecimal one behind 0x, alone in its file.
  std::optional<uint64_t> ReadNumber(const std::string& path) const;
  // Where a symbolic link points to, as it is written there; empty when it is none.
  std::string LinkText(const std::string& path) const;
  // The last part of that.
  std::string LinkName(const std::string& path) const;
  // `path` with all its links followed, without the root; empty when it leads nowhere, in a circle,
  // or out of the root.
  std::string Resolve(const std::string& path) const;
  // Names in a directory, sorted, without dot files; at most `cap`.
  std::vector<std::string> List(const std::string& path, size_t cap = 65536) const;

  // One write(2) to a file that exists, as sysfs wants it.
  Status Write(const std::string& path, std::string_view text) const;

 private:
  std::string root_;
  Writer writer_;
};

}  // namespace hull::devices
