#include "runtime/kernel_paths.h"

#include <fnmatch.h>

#include <algorithm>
#include <iterator>
#include <span>
#include <string_view>

namespace hull {
namespace {

// What would tell a container about its host, or let it change the host.
constexpr std::string_view kMasked[] = {"/proc/acpi",
                                        "/proc/asound",
                                        "/proc/interrupts",
                                        "/proc/kcore",
                                        "/proc/keys",
                                        "/proc/latency_stats",
                                        "/proc/sched_debug",
                                        "/proc/scsi",
                                        "/proc/timer_list",
                                        "/proc/timer_stats",
                                        "/sys/devices/virtual/powercap",
                                        "/sys/firmware"};
constexpr std::string_view kReadOnly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                          "/proc/sysrq-trigger"};

std::vector<std::string> Without(std::span<const std::string_view> paths,
                                 const SecurityOptions& security) {
  std::vector<std::string> left;
  if (security.privileged || security.system_paths_unconfined) return left;
  for (const std::string_view path : paths) {
    const std::string text(path);
    const bool is_unmasked = std::any_of(
        security.unmasked_paths.begin(), security.unmasked_paths.end(),
        [&](const std::string& pattern) {
          return pattern == "ALL" || fnmatch(pattern.c_str(), text.c_str(), FNM_PATHNAME) == 0;
        });
    if (!is_unmasked) left.push_back(text);
  }
  return left;
}

}  // namespace

std::vector<std::string> MaskedPaths(const SecurityOptions& security) {
  std::vector<std::string> paths = Without(kMasked, security);
  paths.insert(paths.end(), security.masked_paths.begin(), security.masked_paths.end());
  return paths;
}

std::vector<std::string> ReadOnlyPaths(const SecurityOptions& security) {
  return Without(kReadOnly, security);
}

}  // namespace hull
