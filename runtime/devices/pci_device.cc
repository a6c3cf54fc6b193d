#include "runtime/devices/pci_device.h"

#include <algorithm>
#include <charconv>

#include "vmm/base/checked.h"
#include "vmm/base/escape.h"

namespace hull::devices {
namespace {

// linux/ioport.h (IORESOURCE_*), which is not for user space, yet is what sysfs shows.
constexpr uint64_t kResourcePort = 0x100;
constexpr uint64_t kResourceMemory = 0x200;
constexpr uint64_t kResourcePrefetch = 0x2000;
constexpr uint64_t kResourceMemory64 = 0x100000;
constexpr uint64_t kResourceUnset = 0x20000000;

constexpr size_t kMaxGroupMembers = 4096;
constexpr size_t kMaxDevices = 65536;

// Takes the next number off `line`: "0x...", blanks before it.
std::optional<uint64_t> TakeHexadecimal(std::string_view& line) {
  constexpr std::string_view kPrefix = "0x";
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  if (!line.starts_with(kPrefix)) return std::nullopt;
  line.remove_prefix(kPrefix.size());
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), value, 16);
  if (error != std::errc()) return std::nullopt;
  line.remove_prefix(static_cast<size_t>(end - line.data()));
  return value;
}

// "0xSTART 0xEND 0xFLAGS"; all zero: no BAR.
Bar ParseBar(std::string_view line) {
  Bar bar;
  const std::optional<uint64_t> start = TakeHexadecimal(line);
  const std::optional<uint64_t> end = TakeHexadecimal(line);
  const std::optional<uint64_t> flags = TakeHexadecimal(line);
  if (!start || !end || !flags || *end < *start) return bar;
  const std::optional<uint64_t> size = CheckedAdd<uint64_t>(*end - *start, 1);
  if (!size) return bar;
  if ((*flags & kResourceMemory) != 0) {
    bar.kind = (*flags & kResourceMemory64) != 0 ? Bar::Kind::kMemory64 : Bar::Kind::kMemory32;
  } else if ((*flags & kResourcePort) != 0) {
    bar.kind = Bar::Kind::kPort;
  } else {
    return bar;
  }
  bar.prefetchable = (*flags & kResourcePrefetch) != 0;
  bar.unassigned = (*flags & kResourceUnset) != 0 || *start == 0;
  bar.size_bytes = *size;
  return bar;
}

void ReadBars(const HostTree& host, PciDevice& device) {
  const std::string text = host.Read(device.Path() + "/resource");
  std::string_view rest = text;
  for (Bar& bar : device.bars) {
    const size_t end = rest.find('\n');
    bar = ParseBar(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
}

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.push_back(EscapeControl(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

std::vector<PciAddress> Addresses(const std::vector<std::string>& names) {
  std::vector<PciAddress> addresses;
  for (const std::string& name : names) {
    if (const Result<PciAddress> address = ParsePciAddress(name)) addresses.push_back(*address);
  }
  std::sort(addresses.begin(), addresses.end());
  return addresses;
}

void ReadGroup(const HostTree& host, PciDevice& device) {
  const std::string name = host.LinkName(device.Path() + "/iommu_group");
  uint32_t group = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), group);
  if (name.empty() || error != std::errc() || end != name.data() + name.size()) return;
  device.iommu_group = group;
  device.group_members = Addresses(
      host.List(fmt::format("/sys/kernel/iommu_groups/{}/devices", group), kMaxGroupMembers));
  std::erase(device.group_members, device.address);
}

void ReadSriov(const HostTree& host, PciDevice& device) {
  const std::string path = device.Path();
  constexpr uint64_t kMaxFunctions = 65535;
  const auto count = [&](const char* name) {
    return static_cast<uint32_t>(std::min(host.ReadNumber(path + name).value_or(0), kMaxFunctions));
  };
  device.total_vfs = count("/sriov_totalvfs");
  device.active_vfs = count("/sriov_numvfs");
  for (uint32_t i = 0; i < device.active_vfs; ++i) {
    const Result<PciAddress> address =
        ParsePciAddress(host.LinkName(fmt::format("{}/virtfn{}", path, i)));
    if (!address) break;
    device.virtual_functions.push_back(*address);
  }
  if (const Result<PciAddress> address = ParsePciAddress(host.LinkName(path + "/physfn"))) {
    device.physical_function = *address;
  }
}

}  // namespace

std::string PciDevice::Path() const {
  return fmt::format("{}/{}", kPciDevicesPath, address.ToString());
}

Result<PciDevice> ReadPciDevice(const HostTree& host, const PciAddress& address) {
  PciDevice device;
  device.address = address;
  const std::string path = device.Path();
  const auto number = [&](const char* name) { return host.ReadNumber(path + name).value_or(0); };
  if (!host.Exists(path + "/vendor")) {
    return Fail(
        Error(ErrorCode::kNotFound, fmt::format("there is no PCI device {}", address.ToString()))
            .WithHint("hull device ls shows those that there are"));
  }
  device.vendor = static_cast<uint16_t>(number("/vendor"));
  device.device = static_cast<uint16_t>(number("/device"));
  device.subsystem_vendor = static_cast<uint16_t>(number("/subsystem_vendor"));
  device.subsystem_device = static_cast<uint16_t>(number("/subsystem_device"));
  device.revision = static_cast<uint8_t>(number("/revision"));
  device.class_code = static_cast<uint32_t>(number("/class")) & 0xffffffU;
  device.driver = EscapeControl(host.LinkName(path + "/driver"));
  device.override = EscapeControl(host.Read(path + "/driver_override"));
  // How the kernel prints that there is none.
  if (device.override == "(null)") device.override.clear();
  ReadGroup(host, device);
  ReadBars(host, device);
  device.reset_methods = Words(host.Read(path + "/reset_method"));
  device.power_state = EscapeControl(host.Read(path + "/power_state"));
  // -1: the machine has no nodes; ReadNumber takes no sign.
  if (const std::optional<uint64_t> node = host.ReadNumber(path + "/numa_node")) {
    device.numa_node = static_cast<int32_t>(std::min<uint64_t>(*node, INT32_MAX));
  }
  device.is_boot_display = number("/boot_vga") == 1;
  ReadSriov(host, device);
  return device;
}

std::vector<PciDevice> ListPciDevices(const HostTree& host) {
  std::vector<PciDevice> devices;
  for (const PciAddress& address : Addresses(host.List(kPciDevicesPath, kMaxDevices))) {
    // One that has gone meanwhile is no longer there to be listed.
    if (Result<PciDevice> device = ReadPciDevice(host, address)) {
      devices.push_back(std::move(*device));
    }
  }
  return devices;
}

}  // namespace hull::devices
