// hull device ls: the host's PCI devices, and which may be passed through.
#include <unistd.h>

#include <memory>

#include "runtime/cli/command.h"
#include "runtime/cli/device_list.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

struct LsFlags {
  std::string format;
  std::vector<std::string> filters;
  bool all = false;
  bool quiet = false;
  bool no_trunc = false;
};

Result<std::string> List(const LsFlags& flags, const GlobalOptions& global) {
  const devices::HostTree host = devices::HostTree::FromEnvironment();
  HULL_ASSIGN(std::vector<DeviceView> views, FilterDevices(ViewDevices(host), flags.filters));
  HULL_ASSIGN(HostLayout layout, FindHostLayout(global.root, global.state));
  NameHolders(Containers(std::move(layout)), views);
  // Bridges are never passed on, and every host has a dozen.
  if (!flags.all) std::erase_if(views, [](const DeviceView& it) { return it.device.IsBridge(); });
  if (!flags.quiet) return FormatDevices(views, flags.format, !flags.no_trunc);
  std::string text;
  for (const DeviceView& view : views) text += view.device.address.ToString() + "\n";
  return text;
}

int Run(const LsFlags& flags, const GlobalOptions& global) {
  const Result<std::string> text = List(flags, global);
  if (!text) {
    PrintError(text.error());
    return kExitFailed;
  }
  return WriteAll(STDOUT_FILENO, *text) ? 0 : kExitFailed;
}

Action DeclareDeviceLs(CLI::App& app, const GlobalOptions& global) {
  const auto flags = std::make_shared<LsFlags>();
  app.add_flag("-a,--all", flags->all, "Show bridges, too");
  app.add_option("-f,--filter", flags->filters,
                 "Only those that fit: address, class, vendor, driver, group, state or fit, as in "
                 "driver=nvme");
  app.add_option("--format", flags->format,
                 "table, json, or a template of {{.Address}} and the like");
  app.add_flag("--no-trunc", flags->no_trunc, "Show names and reasons in full");
  app.add_flag("-q,--quiet", flags->quiet, "Show addresses only");
  return [flags, &global](const std::vector<std::string>&) { return Run(*flags, global); };
}

constexpr Example kExamples[] = {
    {"hull device ls", "Show the devices, and which of them may be given to a container"},
    {"hull device ls --filter class=nvme --filter fit=true", "Show the NVMe disks that may"},
    {"hull device ls --format '{{.Address}}: {{.Reasons}}'", "Show why not, in full"},
};

}  // namespace

extern const Command kDeviceLs;
constinit const Command kDeviceLs = {
    .name = "device ls",
    .group = Group::kSystem,
    .aliases = "device list",
    .summary = "List the host's PCI devices, and which may be passed to a container",
    .arguments = "[OPTIONS]",
    .description =
        "FIT says whether a device may be given to a VM: \"yes\" (after hull device bind), \"yes, "
        "bound\" (ready), which container has it, or why not. GROUP is its IOMMU group, and the "
        "others in it: they go "
        "together. BARS are the sizes of its memory; one with a ! found no room on the host. RESET "
        "are the ways in which it can be brought back to a clean state. SR-IOV shows how many "
        "virtual functions there are of how many there can be.\n\n"
        "Names come from Debian's package pci.ids; without it there are numbers.",
    .examples = kExamples,
    .declare = DeclareDeviceLs,
};

}  // namespace hull::cli
