// A CDI file, and the name of a device to look for in it: "name\0file".
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/devices/cdi.h"
#include "vmm/base/check.h"

namespace {

bool IsPath(std::string_view path) {
  return path.starts_with('/') && path.find('\0') == std::string_view::npos &&
         (std::string(path) + "/").find("/../") == std::string::npos;
}

// What the rest of hull relies on, whatever the file says.
void CheckEdits(const hull::devices::CdiEdits& edits) {
  for (const std::string& entry : edits.environment) {
    HULL_CHECK(entry.find('=') != std::string::npos && entry.find('=') > 0);
    HULL_CHECK(entry.find('\0') == std::string::npos);
  }
  for (const auto& node : edits.device_nodes) {
    HULL_CHECK(IsPath(node.path) && IsPath(node.host_path));
  }
  for (const auto& mount : edits.mounts) {
    HULL_CHECK(IsPath(mount.host_path) && IsPath(mount.container_path));
  }
  for (const uint32_t gid : edits.additional_gids) HULL_CHECK(gid != 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hull::devices;
  // SAFETY: bytes seen as characters; the view ends where the input does.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(text.find('\0'), text.size());
  const std::string_view name = text.substr(0, end);
  const bool is_name = IsCdiName(name);
  HULL_CHECK(!is_name || name.find('/') < name.find('='));
  const hull::Result<CdiSpec> spec = ParseCdiSpec(text.substr(std::min(end + 1, size)), "file");
  if (!spec) {
    // One line, fit for a terminal (EscapeControl leaves tabs).
    const std::string message = spec.error().ToString();
    HULL_CHECK(message.starts_with("file: "));
    HULL_CHECK(std::none_of(message.begin(), message.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20U && c != '\t';
    }));
    return 0;
  }
  HULL_CHECK(!spec->devices.empty());
  CheckEdits(spec->edits);
  for (const auto& [device, edits] : spec->devices) {
    HULL_CHECK(IsCdiName(spec->kind + "=" + device));
    CheckEdits(edits);
  }
  return 0;
}
