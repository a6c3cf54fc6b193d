#include "guest-agent/later_devices.h"

#include <fcntl.h>

#include <filesystem>
#include <system_error>

#include "guest-agent/kernel_log.h"
#include "vmm/base/file.h"

namespace hull::agent {
namespace {

// vmm/boot/device_tree.h, kLaterVirtioCompatible; with the byte that ends a text in the tree.
constexpr std::string_view kCompatible("hull,virtio-mmio-later\0", 23);
constexpr char kDriver[] = "virtio-mmio";

Status Write(const std::string& path, std::string_view text) {
  HULL_ASSIGN(const UniqueFd file, OpenFile(path, O_WRONLY));
  return WriteAll(file.get(), text);
}

Status Bind(const std::string& sysfs, const std::string& name) {
  HULL_TRY(Write(sysfs + "/bus/platform/devices/" + name + "/driver_override", kDriver));
  return Write(sysfs + "/bus/platform/drivers/" + kDriver + "/bind", name);
}

}  // namespace

int BindLaterDevices(const std::string& sysfs) {
  int bound = 0;
  std::error_code failed;
  std::filesystem::directory_iterator devices(sysfs + "/bus/platform/devices", failed);
  for (; !failed && devices != std::filesystem::directory_iterator(); devices.increment(failed)) {
    const std::string path = devices->path().string();
    const Result<std::string> compatible = ReadFile(path + "/of_node/compatible", 4096);
    if (!compatible || *compatible != kCompatible) continue;
    const std::string name = devices->path().filename().string();
    if (Status done = Bind(sysfs, name); !done) {
      LogWarning("device {} is not used: {}", name, done.error().ToString());
    } else {
      ++bound;
    }
  }
  return bound;
}

}  // namespace hull::agent
