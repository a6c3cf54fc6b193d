#include "runtime/host_layout.h"

#include <limits.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "runtime/host_places.h"

namespace hull {
namespace {

std::string Setting(std::string_view flag, const char* variable, std::string fallback) {
  if (!flag.empty()) return std::string(flag);
  const char* value = std::getenv(variable);
  if (value != nullptr && *value != '\0') return value;
  return fallback;
}

// "/usr/local/bin/hull" gives "/usr/local".
Result<std::string> Prefix() {
  std::array<char, PATH_MAX> path{};
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
  if (length <= 0) return FailErrno("find hull's own program");
  const std::string_view program(path.data(), static_cast<size_t>(length));
  const std::string_view directory = program.substr(0, program.rfind('/'));
  return std::string(directory.substr(0, directory.rfind('/')));
}

}  // namespace

std::string HostLayout::ContainerDirectory(std::string_view id) const {
  return fmt::format("{}/containers/{}", store_root, id);
}

std::string HostLayout::RunDirectory(std::string_view id) const {
  return fmt::format("{}/{}", run_root, id);
}

Result<HostLayout> FindHostLayout(std::string_view root_flag, std::string_view state_flag) {
  HULL_ASSIGN(const std::string prefix, Prefix());
  HostLayout layout;
  layout.store_root = Setting(root_flag, "HULL_ROOT", StoreRootOf(geteuid()));
  layout.run_root = Setting(state_flag, "HULL_RUN", RunRootOf(geteuid()));
  layout.vmm_program = Setting({}, "HULL_VMM", prefix + "/bin/hull-vmm");
  layout.kernel = Setting({}, "HULL_KERNEL", prefix + "/lib/hull/vmlinux");
  layout.pci_kernel = Setting({}, "HULL_KERNEL", prefix + "/lib/hull/vmlinux-pci");
  layout.guest_root = Setting({}, "HULL_GUEST_ROOT", prefix + "/lib/hull/guest.erofs");
  for (std::string* path : {&layout.store_root, &layout.run_root}) {
    if (!path->starts_with('/')) {
      return Fail(ErrorCode::kInvalidArgument, "{} is not an absolute path", *path);
    }
  }
  return layout;
}

}  // namespace hull
