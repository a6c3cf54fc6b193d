// hull device bind, hull device unbind: from the host's driver to vfio-pci, and back.
#include <limits.h>
#include <unistd.h>

#include <array>
#include <memory>

#include "runtime/cli/command.h"
#include "runtime/devices/binding.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

using devices::PciAddress;

Result<std::vector<PciAddress>> ParseAddresses(const std::vector<std::string>& words) {
  std::vector<PciAddress> addresses;
  for (const std::string& word : words) {
    HULL_ASSIGN(const PciAddress address, devices::ParsePciAddress(word));
    addresses.push_back(address);
  }
  return addresses;
}

// This program's own file.
Result<std::string> OwnPath() {
  std::array<char, PATH_MAX> path{};
  const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0) return FailErrno("readlink /proc/self/exe");
  return std::string(path.data(), static_cast<size_t>(size));
}

Status Bind(const std::vector<std::string>& words, devices::BindOptions options) {
  HULL_ASSIGN(const std::vector<PciAddress> addresses, ParseAddresses(words));
  if (options.persist) {
    HULL_ASSIGN(options.program, OwnPath());
  }
  const devices::HostTree host = devices::HostTree::FromEnvironment();
  devices::Binder binder(host, devices::HostModuleLoader(host));
  HULL_ASSIGN(const std::vector<devices::BindOutcome> outcomes, binder.Bind(addresses, options));
  for (const devices::BindOutcome& outcome : outcomes) {
    HULL_TRY(WriteAll(STDOUT_FILENO, outcome.address.ToString() + "\n"));
  }
  return {};
}

Status Unbind(const std::vector<std::string>& words, bool persist, int& failed) {
  HULL_ASSIGN(const std::vector<PciAddress> addresses, ParseAddresses(words));
  const devices::HostTree host = devices::HostTree::FromEnvironment();
  devices::Binder binder(host, devices::HostModuleLoader(host));
  for (const PciAddress& address : addresses) {
    const Result<devices::UnbindOutcome> outcome = binder.Unbind(address, persist);
    if (!outcome) {
      PrintError(outcome.error());
      ++failed;
      continue;
    }
    HULL_TRY(WriteAll(STDOUT_FILENO, address.ToString() + "\n"));
    if (!outcome->still_persistent) continue;
    HULL_TRY(WriteAll(STDERR_FILENO,
                      fmt::format("hull: {} will be bound again when the host starts; hull device "
                                  "unbind --persist {} ends that\n",
                                  address.ToString(), address.ToString())));
  }
  return {};
}

int Report(const Status& status) {
  if (status) return 0;
  PrintError(status.error());
  return kExitFailed;
}

Action DeclareBind(CLI::App& app, const GlobalOptions&) {
  const auto options = std::make_shared<devices::BindOptions>();
  app.add_flag("-f,--force", options->force,
               "Also when the host uses the device, or the kernel cannot reset it");
  app.add_flag("--persist", options->persist, "Also each time the host starts");
  return [options](const std::vector<std::string>& words) { return Report(Bind(words, *options)); };
}

Action DeclareUnbind(CLI::App& app, const GlobalOptions&) {
  const auto persist = std::make_shared<bool>(false);
  app.add_flag("--persist", *persist, "No longer bind it when the host starts");
  return [persist](const std::vector<std::string>& words) {
    int failed = 0;
    const int exit_code = Report(Unbind(words, *persist, failed));
    return failed > 0 ? kExitFailed : exit_code;
  };
}

constexpr Example kBindExamples[] = {
    {"hull device bind 0000:01:00.0", "Take a device from its driver, ready for a container"},
    {"hull device bind 01:00.0 01:00.1", "Take a graphics card and its sound, which share a group"},
    {"hull device bind --persist 01:00.0", "Do it also each time the host starts"},
};

}  // namespace

extern const Command kDeviceBind;
constinit const Command kDeviceBind = {
    .name = "device bind",
    .group = Group::kSystem,
    .summary = "Take PCI devices from the host's drivers, ready to be passed to a container",
    .arguments = "[OPTIONS] ADDRESS [ADDRESS...]",
    .description =
        "Gives the devices to vfio-pci, all of them or none. What their driver was is remembered "
        "for "
        "hull device unbind. A device is refused, with the reason, when the host would lose "
        "something "
        "by it (a mounted file system, swap, the default route, its only display), when another in "
        "its IOMMU group stays with the host, or when nothing would guard the host's memory from "
        "it.\n\n"
        "--persist writes a udev rule, /etc/udev/rules.d/10-hull-ADDRESS.rules, that has hull do "
        "it "
        "when the host starts; hull device unbind --persist removes it. With "
        "--force, by force then, too.",
    .examples = kBindExamples,
    .declare = DeclareBind,
};

extern const Command kDeviceUnbind;
constinit const Command kDeviceUnbind = {
    .name = "device unbind",
    .group = Group::kSystem,
    .summary = "Give PCI devices back to the drivers that they came from",
    .arguments = "[OPTIONS] ADDRESS [ADDRESS...]",
    .declare = DeclareUnbind,
};

}  // namespace hull::cli
