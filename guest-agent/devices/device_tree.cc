#include "guest-agent/devices/device_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <utility>

#include "guest-agent/archive/in_root.h"
#include "vmm/base/file.h"
#include "vmm/base/unique_fd.h"

namespace hull::agent {
namespace {

constexpr size_t kMaxDirectories = 65536;
constexpr int kMaxDepth = 16;
constexpr size_t kMaxUeventBytes = 4096;  // a page: all that a sysfs file has
constexpr size_t kMaxNameParts = 4;
constexpr size_t kMaxNameBytes = 255;
// dev_t in the kernel: 12 bits and 20.
constexpr uint32_t kMaxMajor = (1U << 12) - 1;
constexpr uint32_t kMaxMinor = (1U << 20) - 1;

// Groups of attributes with many files and never a device below them.
constexpr std::array<std::string_view, 6> kNoDevices = {"power",    "queue",      "mq",
                                                        "msi_irqs", "statistics", "queues"};

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

Directory OpenDirectory(int parent, const char* name) {
  const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return {fd < 0 ? nullptr : ::fdopendir(fd), ::closedir};
}

std::string ReadSmall(int directory, const char* name) {
  const UniqueFd file(::openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file.valid()) return {};
  std::string text(kMaxUeventBytes, '\0');
  const ssize_t size = ::read(file.get(), text.data(), text.size());
  text.resize(size > 0 ? static_cast<size_t>(size) : 0);
  return text;
}

std::string FirstLine(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

// The last name of what the link `name` in `directory` points to; empty: no link.
std::string LinkName(int directory, const char* name) {
  char target[PATH_MAX];
  const ssize_t size = ::readlinkat(directory, name, target, sizeof(target));
  if (size <= 0 || size == sizeof(target)) return {};
  const std::string_view text(target, static_cast<size_t>(size));
  return std::string(text.substr(text.rfind('/') + 1));
}

template <typename Number>
bool ParseNumber(std::string_view text, int base, Number* number) {
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), *number, base);
  return failed == std::errc() && end == text.data() + text.size();
}

// A name below /dev: no way out of it, and nothing that a terminal would obey.
bool IsNodeName(const std::string& name) {
  if (name.empty() || name.front() == '/' || name.back() == '/' || name.size() > kMaxNameBytes) {
    return false;
  }
  const bool characters =
      std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c != '\x7f'; });
  const Result<std::vector<std::string>> parts = archive::SplitPath(name);
  return characters && parts && !parts->empty() && parts->size() <= kMaxNameParts;
}

bool SameFile(int a, int b) {
  struct stat first {};
  struct stat second {};
  return ::fstat(a, &first) == 0 && ::fstat(b, &second) == 0 && first.st_ino == second.st_ino &&
         first.st_dev == second.st_dev;
}

// Walks one device's directories and collects.
class Walk {
 public:
  Walk(DeviceFindings* findings, size_t max_nodes) : findings_(findings), max_nodes_(max_nodes) {}

  // `path`: of the directory `name` in `parent`, as uevents have it. Links are not followed: they
  // lead to other devices. A directory that vanishes meanwhile is left out.
  Status Visit(int parent, const char* name, const std::string& path, int depth) {
    if (++directories_ > kMaxDirectories) {
      return Fail(ErrorCode::kExhausted, "more than {} directories in sysfs", kMaxDirectories);
    }
    const Directory directory = OpenDirectory(parent, name);
    if (!directory) return {};
    const int fd = ::dirfd(directory.get());
    HULL_TRY(Look(fd, name, path));
    if (depth == kMaxDepth) return {};
    while (const dirent* entry = ::readdir(directory.get())) {
      const std::string_view child = entry->d_name;
      if (entry->d_type != DT_DIR || child.starts_with('.') ||
          std::find(kNoDevices.begin(), kNoDevices.end(), child) != kNoDevices.end()) {
        continue;
      }
      HULL_TRY(Visit(fd, entry->d_name, fmt::format("{}/{}", path, child), depth + 1));
    }
    return {};
  }

 private:
  Status Look(int directory, const char* name, const std::string& path) {
    const std::string uevent = ReadSmall(directory, "uevent");
    if (uevent.empty()) return {};
    const std::string subsystem = LinkName(directory, "subsystem");
    if (subsystem == "net") findings_->interfaces.emplace_back(name);
    if (subsystem == "nvme") {
      findings_->nvme.push_back({name, FirstLine(ReadSmall(directory, "state"))});
    }
    std::optional<DeviceNode> node = ParseUevent(uevent);
    if (!node) return {};
    if (findings_->nodes.size() >= max_nodes_) {
      return Fail(ErrorCode::kExhausted, "it has more than {} device nodes", max_nodes_);
    }
    node->block = subsystem == "block";
    findings_->nodes.push_back({path, std::move(*node)});
    return {};
  }

  DeviceFindings* const findings_;
  const size_t max_nodes_;
  size_t directories_ = 0;
};

// NVMe subsystems that have one of the controllers: the kernel links it there by name.
std::vector<std::string> SubsystemsOf(const std::string& sysfs, const DeviceFindings& findings) {
  std::vector<std::string> found;
  const std::string parent = "/devices/virtual/nvme-subsystem";
  const Directory subsystems = OpenDirectory(AT_FDCWD, (sysfs + parent).c_str());
  while (const dirent* entry = subsystems ? ::readdir(subsystems.get()) : nullptr) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    const std::string path = fmt::format("{}/{}", parent, entry->d_name);
    for (const NvmeController& controller : findings.nvme) {
      const UniqueFd linked(::open(fmt::format("{}{}/{}", sysfs, path, controller.name).c_str(),
                                   O_PATH | O_DIRECTORY | O_CLOEXEC));
      const UniqueFd own(
          ::open(fmt::format("{}{}/nvme/{}", sysfs, findings.path, controller.name).c_str(),
                 O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!linked.valid() || !own.valid() || !SameFile(linked.get(), own.get())) continue;
      found.push_back(path);
      break;
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

bool IsPciAddress(std::string_view address) {
  constexpr std::string_view kShape = "xxxx:xx:xx.d";
  if (address.size() != kShape.size()) return false;
  for (size_t i = 0; i < kShape.size(); ++i) {
    const char c = address[i];
    const bool digit = c >= '0' && c <= '9';
    const bool fits = kShape[i] == 'x'   ? digit || (c >= 'a' && c <= 'f')
                      : kShape[i] == 'd' ? c >= '0' && c <= '7'
                                         : c == kShape[i];
    if (!fits) return false;
  }
  return true;
}

std::optional<DeviceNode> ParseUevent(std::string_view text) {
  DeviceNode node;
  bool has_major = false;
  bool has_minor = false;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view key = line.substr(0, equals);
    const std::string_view value = line.substr(equals + 1);
    bool valid = true;
    if (key == "MAJOR") {
      has_major = valid = ParseNumber(value, 10, &node.major) && node.major <= kMaxMajor;
    } else if (key == "MINOR") {
      has_minor = valid = ParseNumber(value, 10, &node.minor) && node.minor <= kMaxMinor;
    } else if (key == "DEVNAME") {
      node.name = std::string(value);
    } else if (key == "DEVMODE") {
      valid = ParseNumber(value, 8, &node.mode) && node.mode <= 0777;
    } else if (key == "DEVUID") {
      valid = ParseNumber(value, 10, &node.uid);
    } else if (key == "DEVGID") {
      valid = ParseNumber(value, 10, &node.gid);
    }
    if (!valid) return std::nullopt;
  }
  if (!has_major || !has_minor || !IsNodeName(node.name)) return std::nullopt;
  return node;
}

Error DeviceTree::NoDevice(const std::string& address) const {
  const Directory devices = OpenDirectory(AT_FDCWD, (sysfs_ + "/bus/pci/devices").c_str());
  if (!devices) {
    return MakeError(ErrorCode::kUnavailable,
                     "device {}: the guest's kernel has no PCI bus (the kernel for passed-through "
                     "devices is vmlinux-pci)",
                     address);
  }
  std::vector<std::string> there;
  while (const dirent* entry = ::readdir(devices.get())) {
    if (IsPciAddress(entry->d_name) && there.size() < 32) there.emplace_back(entry->d_name);
  }
  std::sort(there.begin(), there.end());
  return MakeError(ErrorCode::kUnavailable, "device {} is not on the guest's PCI bus ({})", address,
                   there.empty() ? "nothing is" : fmt::format("{}", fmt::join(there, ", ")));
}

Result<DeviceFindings> DeviceTree::Find(const std::string& address) const {
  const std::string link = fmt::format("{}/bus/pci/devices/{}", sysfs_, address);
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(link.c_str(), nullptr), ::free);
  const std::unique_ptr<char, void (*)(void*)> root(::realpath(sysfs_.c_str(), nullptr), ::free);
  DeviceFindings findings;
  if (!real || !root || !std::string_view(real.get()).starts_with(std::string(root.get()) + "/")) {
    return Fail(NoDevice(address));
  }
  findings.path = std::string(real.get()).substr(std::string_view(root.get()).size());
  const UniqueFd directory(::open(real.get(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return Fail(NoDevice(address));
  findings.driver = LinkName(directory.get(), "driver");

  Walk walk(&findings, max_nodes_);
  HULL_TRY_WITHIN("device " + address, walk.Visit(AT_FDCWD, real.get(), findings.path, 0));
  findings.other_paths = SubsystemsOf(sysfs_, findings);
  for (const std::string& path : findings.other_paths) {
    HULL_TRY_WITHIN("device " + address, walk.Visit(AT_FDCWD, (sysfs_ + path).c_str(), path, 0));
  }
  std::ranges::sort(findings.nodes, {}, [](const FoundNode& found) { return found.node.name; });
  std::ranges::sort(findings.interfaces);
  std::ranges::sort(findings.nvme, {}, &NvmeController::name);
  return findings;
}

std::optional<DeviceNode> DeviceTree::NodeAt(std::string_view path) const {
  const Result<std::vector<std::string>> parts = archive::SplitPath(std::string(path));
  if (!path.starts_with("/devices/") || !parts) return std::nullopt;
  const UniqueFd root(::open(sysfs_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return std::nullopt;
  const Result<UniqueFd> directory = archive::OpenInRoot(
      root.get(), std::string(path.substr(1)), O_PATH | O_DIRECTORY, archive::Links::kRefused);
  if (!directory) return std::nullopt;
  std::optional<DeviceNode> node = ParseUevent(ReadSmall(directory->get(), "uevent"));
  if (node) node->block = LinkName(directory->get(), "subsystem") == "block";
  return node;
}

}  // namespace hull::agent
