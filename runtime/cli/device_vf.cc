// hull device vf create: virtual functions of an SR-IOV device.
#include <unistd.h>

#include <charconv>

#include "runtime/cli/command.h"
#include "runtime/devices/virtual_functions.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

Status Create(const std::vector<std::string>& words) {
  if (words[0] != "create") {
    return Fail(ErrorCode::kInvalidArgument, "unknown command: hull device vf {}",
                EscapeControl(words[0]));
  }
  uint32_t count = 0;
  const std::string& number = words[1];
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), count);
  if (error != std::errc() || end != number.data() + number.size()) {
    return Fail(ErrorCode::kInvalidArgument, "'{}' is no number of virtual functions",
                EscapeControl(number));
  }
  HULL_ASSIGN(const devices::PciAddress address, devices::ParsePciAddress(words[2]));
  const devices::HostTree host = devices::HostTree::FromEnvironment();
  HULL_ASSIGN(const std::vector<devices::PciAddress> functions,
              devices::SetVirtualFunctions(host, address, count));
  std::string text;
  for (const devices::PciAddress& function : functions) text += function.ToString() + "\n";
  return WriteAll(STDOUT_FILENO, text);
}

Action DeclareVf(CLI::App&, const GlobalOptions&) {
  return [](const std::vector<std::string>& words) {
    const Status status = Create(words);
    if (!status) PrintError(status.error());
    return status ? 0 : kExitFailed;
  };
}

constexpr Example kExamples[] = {
    {"hull device vf create 4 0000:01:00.0",
     "Make four virtual functions and show their addresses"},
    {"hull device vf create 0 0000:01:00.0", "Remove them"},
};

}  // namespace

extern const Command kDeviceVf;
constinit const Command kDeviceVf = {
    .name = "device vf",
    .group = Group::kSystem,
    .summary = "Make virtual functions of a device that has SR-IOV",
    .arguments = "[OPTIONS] create N ADDRESS",
    .description =
        "The device has N virtual functions then, and no others; none of them has a "
        "driver. Give them to containers with hull device bind.",
    .examples = kExamples,
    .declare = DeclareVf,
};

}  // namespace hull::cli
