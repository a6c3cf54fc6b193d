// hull device inspect: all that is known of PCI devices.
#include <unistd.h>

#include <memory>

#include <boost/json/array.hpp>

#include "runtime/cli/command.h"
#include "runtime/cli/device_list.h"
#include "runtime/format/template.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

Result<std::string> Inspect(const std::vector<std::string>& words, const std::string& format,
                            const GlobalOptions& global) {
  std::vector<devices::PciAddress> addresses;
  for (const std::string& word : words) {
    HULL_ASSIGN(const devices::PciAddress address, devices::ParsePciAddress(word));
    addresses.push_back(address);
  }
  const devices::HostTree host = devices::HostTree::FromEnvironment();
  HULL_ASSIGN(std::vector<DeviceView> views, ViewDevices(host, addresses));
  HULL_ASSIGN(HostLayout layout, FindHostLayout(global.root, global.state));
  NameHolders(Containers(std::move(layout)), views);
  HULL_ASSIGN(const format::Template line,
              format::Template::Parse(format.empty() || format == "json" ? "{{json .}}" : format));
  std::string text;
  for (const DeviceView& view : views) {
    HULL_ASSIGN(const std::string shown, line.Execute(DescribeDevice(view)));
    const bool is_first = text.empty();
    // Without a template, one array.
    text += format.empty() ? (is_first ? "[\n" : ",\n") + shown : shown + "\n";
  }
  return format.empty() ? text + "\n]\n" : text;
}

Action DeclareDeviceInspect(CLI::App& app, const GlobalOptions& global) {
  const auto format = std::make_shared<std::string>();
  app.add_option("-f,--format", *format, "json, or a template of {{.Driver}} and the like");
  return [format, &global](const std::vector<std::string>& words) {
    const Result<std::string> text = Inspect(words, *format, global);
    if (!text) {
      PrintError(text.error());
      return kExitFailed;
    }
    return WriteAll(STDOUT_FILENO, *text) ? 0 : kExitFailed;
  };
}

}  // namespace

extern const Command kDeviceInspect;
constinit const Command kDeviceInspect = {
    .name = "device inspect",
    .group = Group::kSystem,
    .summary = "Show all that is known of PCI devices",
    .arguments = "[OPTIONS] ADDRESS [ADDRESS...]",
    .description =
        "Obstacles are the reasons why the device cannot be passed through as it is, each "
        "with what can be done about it.",
    .declare = DeclareDeviceInspect,
};

}  // namespace hull::cli
