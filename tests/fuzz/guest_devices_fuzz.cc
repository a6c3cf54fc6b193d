// What an image and a driver make the agent read about devices: modules.dep, a uevent file, a
// uevent message, a record of /dev/kmsg and /proc/devices, each the same bytes.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "guest-agent/devices/device_tree.h"
#include "guest-agent/devices/kernel_lines.h"
#include "guest-agent/devices/module_index.h"
#include "guest-agent/devices/registered_numbers.h"
#include "guest-agent/devices/uevents.h"
#include "vmm/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hull::agent;
  // SAFETY: bytes seen as characters; the view ends where the input does.
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  const std::string name = ModuleNameOf(text.substr(0, text.find(':')));
  HULL_CHECK(name.empty() || IsModuleName(name));
  const ModuleIndex index{std::string(text)};
  for (const std::string& wanted : {name, std::string("a")}) {
    const hull::Result<std::vector<std::string>> files = index.FilesFor(wanted);
    if (!files) continue;
    HULL_CHECK(!files->empty() && files->size() <= ModuleIndex::kMaxLoads);
    HULL_CHECK(ModuleNameOf(files->back()) == wanted);
  }

  if (const std::optional<DeviceNode> node = ParseUevent(text)) {
    HULL_CHECK(!node->name.empty() && node->name.size() <= 255 && node->name.front() != '/');
    HULL_CHECK(("/" + node->name + "/").find("/../") == std::string::npos);
    HULL_CHECK(node->major < 1U << 12U && node->minor < 1U << 20U && node->mode <= 0777);
  }
  const std::string_view path = UeventPath(text);
  HULL_CHECK(path.empty() || path.starts_with("/devices/"));
  const std::string line = KernelLine(text);
  HULL_CHECK(line.size() <= 1200);  // 300 bytes, each of which may take four when it is escaped
  HULL_CHECK(std::none_of(line.begin(), line.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20U && c != '\t';
  }));
  HULL_CHECK(ParseDeviceKinds(text).size() <= size);
  return 0;
}
