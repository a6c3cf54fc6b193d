#include "runtime/cli/device_list.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include <boost/json/array.hpp>

#include "runtime/devices/binding.h"
#include "runtime/format/listing.h"
#include "runtime/passed_devices.h"
#include "vmm/base/escape.h"

namespace hull::cli {
namespace {

namespace json = boost::json;
using devices::Bar;
using devices::PciAddress;
using devices::PciDevice;

constexpr size_t kMaxNameBytes = 44;
constexpr size_t kMaxClassBytes = 24;
constexpr size_t kMaxReasonBytes = 60;

// Sorted, as {{json .}} gives them.
constexpr std::array kColumns = {
    format::Column{"Address", "ADDRESS"},
    format::Column{"Bars", "BARS"},
    format::Column{"Class", "CLASS"},
    format::Column{"Container", "CONTAINER"},
    format::Column{"Driver", "DRIVER"},
    format::Column{"Fit", "FIT"},
    format::Column{"Group", "GROUP"},
    format::Column{"GroupMembers", "GROUP MEMBERS"},
    format::Column{"ID", "ID"},
    format::Column{"Name", "NAME"},
    format::Column{"NumaNode", "NUMA NODE"},
    format::Column{"Power", "POWER"},
    format::Column{"Reasons", "REASONS"},
    format::Column{"Reset", "RESET"},
    format::Column{"Sriov", "SR-IOV"},
    format::Column{"State", "STATE"},
};
constexpr std::string_view kStandardTable =
    "{{.Address}}\t{{.Class}}\t{{.Name}}\t{{.Driver}}\t{{.Group}}\t{{.Bars}}\t{{.Reset}}\t"
    "{{.Sriov}}\t{{.Fit}}";

std::string Cut(std::string text, size_t most, bool truncate) {
  if (!truncate || text.size() <= most) return text;
  // Not in the middle of a character of more bytes.
  size_t end = most - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
  return text.substr(0, end) + "...";
}

// 16384 as "16K": powers of 1024, since BARs are.
std::string BinarySize(uint64_t bytes) {
  constexpr std::string_view kUnits = "BKMGTPE";
  size_t unit = 0;
  while (bytes >= 1024 && bytes % 1024 == 0 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{}{}", bytes, unit == 0 ? std::string_view() : kUnits.substr(unit, 1));
}

std::string_view KindName(Bar::Kind kind) {
  constexpr std::array<std::string_view, 4> kNames = {"none", "port", "memory32", "memory64"};
  return kNames[static_cast<size_t>(kind)];
}

std::string BarText(const PciDevice& device) {
  std::string text;
  for (const Bar& bar : device.bars) {
    if (bar.kind == Bar::Kind::kNone || bar.kind == Bar::Kind::kPort) continue;
    text += (text.empty() ? "" : "+") + BinarySize(bar.size_bytes);
    if (bar.unassigned) text += "!";
  }
  return text.empty() ? "-" : text;
}

std::string Join(std::span<const PciAddress> addresses, std::string_view separator) {
  std::string text;
  for (const PciAddress& address : addresses) {
    if (!text.empty()) text += separator;
    text += address.ToString();
  }
  return text;
}

std::string Join(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text.empty() ? "-" : text;
}

std::string SriovText(const PciDevice& device) {
  if (device.physical_function) return "of " + device.physical_function->ToString();
  return device.total_vfs == 0 ? "-" : fmt::format("{}/{}", device.active_vfs, device.total_vfs);
}

std::string Reasons(const DeviceView& view) {
  std::string text;
  for (const devices::Obstacle& obstacle : view.obstacles) {
    text += (text.empty() ? "" : "; ") + obstacle.text;
  }
  return text;
}

std::string FitText(const DeviceView& view, bool truncate) {
  if (!view.container.empty()) return "in use by container " + view.container;
  if (view.State() == "in use") return Cut(Reasons(view), kMaxReasonBytes, truncate);
  if (!view.IsFit()) return Cut("no: " + Reasons(view), kMaxReasonBytes, truncate);
  return view.State() == "host" ? "yes" : fmt::format("yes, {}", view.State());
}

std::string OrDash(const std::string& text) {
  return text.empty() ? "-" : text;
}

format::Row RowOf(const DeviceView& view, bool truncate) {
  const PciDevice& device = view.device;
  std::string group = device.iommu_group ? fmt::format("{}", *device.iommu_group) : "-";
  // The others are what matters of a group.
  if (!device.group_members.empty()) group += fmt::format(" +{}", Join(device.group_members, ","));
  format::Row row;
  row.fields = json::object{
      {"Address", device.address.ToString()},
      {"Bars", BarText(device)},
      {"Class", Cut(view.class_name, kMaxClassBytes, truncate)},
      {"Container", view.container},
      {"Driver", OrDash(device.driver)},
      {"Fit", FitText(view, truncate)},
      {"Group", Cut(group, kMaxNameBytes, truncate)},
      {"GroupMembers", Join(device.group_members, ",")},
      {"ID", fmt::format("{:04x}:{:04x}", device.vendor, device.device)},
      {"Name", Cut(view.Name(), kMaxNameBytes, truncate)},
      {"NumaNode", device.numa_node ? fmt::format("{}", *device.numa_node) : "-"},
      {"Power", OrDash(device.power_state)},
      {"Reasons", Reasons(view)},
      {"Reset", Join(device.reset_methods)},
      {"Sriov", SriovText(device)},
      {"State", json::string_view(view.State().data(), view.State().size())},
  };
  return row;
}

DeviceView View(const devices::HostTree& host, const devices::PciNames& names,
                const devices::IommuState& iommu, const devices::HostUses& uses, PciDevice device) {
  DeviceView view;
  view.class_name = names.Class(device.class_code);
  if (view.class_name.empty()) view.class_name = fmt::format("{:04x}", device.class_code >> 8U);
  view.vendor_name = names.Vendor(device.vendor);
  view.device_name = names.Device(device.vendor, device.device);
  view.obstacles = devices::ObstaclesOf(host, iommu, uses, device);
  const devices::Binder binder(host, {});
  view.driver_before = EscapeControl(binder.DriverBefore(device.address).value_or(""));
  view.is_persistent = binder.IsPersistent(device.address);
  view.device = std::move(device);
  return view;
}

std::vector<DeviceView> ViewAll(const devices::HostTree& host, std::vector<PciDevice> list) {
  const devices::PciNames names = devices::PciNames::Load(host);
  const devices::IommuState iommu = devices::IommuState::Read(host);
  const devices::HostUses uses = devices::HostUses::Look(host);
  std::vector<DeviceView> views;
  for (PciDevice& device : list) {
    views.push_back(View(host, names, iommu, uses, std::move(device)));
  }
  return views;
}

bool Contains(std::string_view text, std::string_view part) {
  const auto same = [](char a, char b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return lower(a) == lower(b);
  };
  return std::search(text.begin(), text.end(), part.begin(), part.end(), same) != text.end();
}

Result<bool> Fits(const DeviceView& view, std::string_view key, const std::string& value) {
  const PciDevice& device = view.device;
  if (key == "address") return Contains(device.address.ToString(), value);
  if (key == "class") {
    return Contains(view.class_name, value) ||
           fmt::format("{:06x}", device.class_code).starts_with(value);
  }
  if (key == "vendor") {
    return Contains(view.vendor_name, value) || fmt::format("{:04x}", device.vendor) == value;
  }
  if (key == "driver") return device.driver == value;
  if (key == "group") {
    return device.iommu_group && fmt::format("{}", *device.iommu_group) == value;
  }
  if (key == "state") return view.State() == value;
  if (key == "fit" && (value == "true" || value == "false")) {
    return view.IsFit() == (value == "true");
  }
  return Fail(ErrorCode::kInvalidArgument, "invalid filter '{}={}'", EscapeControl(key),
              EscapeControl(value));
}

json::array DescribeBars(const PciDevice& device) {
  json::array bars;
  for (size_t i = 0; i < device.bars.size(); ++i) {
    const Bar& bar = device.bars[i];
    if (bar.kind == Bar::Kind::kNone) continue;
    const std::string_view kind = KindName(bar.kind);
    bars.push_back(json::object{{"Index", i},
                                {"Kind", json::string_view(kind.data(), kind.size())},
                                {"SizeBytes", bar.size_bytes},
                                {"Prefetchable", bar.prefetchable},
                                {"Assigned", !bar.unassigned}});
  }
  return bars;
}

json::array Strings(std::span<const PciAddress> addresses) {
  json::array list;
  for (const PciAddress& address : addresses) list.emplace_back(address.ToString());
  return list;
}

}  // namespace

std::string_view DeviceView::State() const {
  const auto is_used = [](const devices::Obstacle& obstacle) {
    return obstacle.kind == devices::Obstacle::Kind::kVfioUser;
  };
  if (std::any_of(obstacles.begin(), obstacles.end(), is_used)) return "in use";
  if (device.IsOnVfio()) return "bound";
  const bool is_between =
      device.override == devices::kVfioDriver || (device.driver.empty() && !driver_before.empty());
  return is_between ? "unfinished" : "host";
}

std::string DeviceView::Name() const {
  if (vendor_name.empty() || device_name.empty()) {
    const std::string id = fmt::format("[{:04x}:{:04x}]", device.vendor, device.device);
    return vendor_name.empty() ? id : vendor_name + " " + id;
  }
  return vendor_name + " " + device_name;
}

std::vector<DeviceView> ViewDevices(const devices::HostTree& host) {
  return ViewAll(host, devices::ListPciDevices(host));
}

Result<std::vector<DeviceView>> ViewDevices(const devices::HostTree& host,
                                            std::span<const PciAddress> addresses) {
  std::vector<PciDevice> list;
  for (const PciAddress& address : addresses) {
    HULL_ASSIGN(PciDevice device, devices::ReadPciDevice(host, address));
    list.push_back(std::move(device));
  }
  return ViewAll(host, std::move(list));
}

void NameHolders(const Containers& containers, std::vector<DeviceView>& views) {
  for (const auto& [address, name] : HoldersOfDevices(containers)) {
    for (DeviceView& view : views) {
      if (view.device.address.ToString() == address) view.container = name;
    }
  }
}

Result<std::vector<DeviceView>> FilterDevices(std::vector<DeviceView> views,
                                              const std::vector<std::string>& filters) {
  std::map<std::string, std::vector<std::string>> wanted;
  for (const std::string& filter : filters) {
    const size_t equals = filter.find('=');
    if (equals == std::string::npos) {
      return Fail(ErrorCode::kInvalidArgument,
                  "invalid argument \"{}\" for \"-f, --filter\" flag: invalid filter '{}'",
                  EscapeControl(filter), EscapeControl(filter));
    }
    wanted[filter.substr(0, equals)].push_back(filter.substr(equals + 1));
  }
  // A wrong filter is wrong also where there is nothing to filter.
  for (const auto& [key, values] : wanted) {
    for (const std::string& value : values) HULL_TRY(Fits(DeviceView(), key, value));
  }
  std::vector<DeviceView> kept;
  for (DeviceView& view : views) {
    bool fits_each = true;
    for (const auto& [key, values] : wanted) {
      bool fits_any = false;
      for (const std::string& value : values) {
        HULL_ASSIGN(const bool fits, Fits(view, key, value));
        fits_any = fits_any || fits;
      }
      fits_each = fits_each && fits_any;
    }
    if (fits_each) kept.push_back(std::move(view));
  }
  return kept;
}

Result<std::string> FormatDevices(std::span<const DeviceView> views, std::string_view format,
                                  bool truncate) {
  std::vector<format::Row> rows;
  for (const DeviceView& view : views) rows.push_back(RowOf(view, truncate));
  return format::FormatRows({kColumns, kStandardTable}, rows, format);
}

json::object DescribeDevice(const DeviceView& view) {
  const PciDevice& device = view.device;
  json::array obstacles;
  for (const devices::Obstacle& obstacle : view.obstacles) {
    obstacles.push_back(json::object{{"Text", obstacle.text},
                                     {"Remedy", obstacle.remedy},
                                     {"CanBeForced", obstacle.can_be_forced}});
  }
  json::array resets;
  for (const std::string& method : device.reset_methods) resets.emplace_back(method);
  json::value group = nullptr;
  if (device.iommu_group) group = *device.iommu_group;
  json::value node = nullptr;
  if (device.numa_node) node = *device.numa_node;
  json::value physical = nullptr;
  if (device.physical_function) physical = device.physical_function->ToString();
  return {
      {"Address", device.address.ToString()},
      {"ClassCode", fmt::format("{:06x}", device.class_code)},
      {"Class", view.class_name},
      {"VendorID", fmt::format("{:04x}", device.vendor)},
      {"DeviceID", fmt::format("{:04x}", device.device)},
      {"SubsystemVendorID", fmt::format("{:04x}", device.subsystem_vendor)},
      {"SubsystemDeviceID", fmt::format("{:04x}", device.subsystem_device)},
      {"Revision", device.revision},
      {"Vendor", view.vendor_name},
      {"Device", view.device_name},
      {"Driver", device.driver},
      {"DriverOverride", device.override},
      {"DriverBefore", view.driver_before},
      {"Persistent", view.is_persistent},
      {"State", json::string_view(view.State().data(), view.State().size())},
      {"Container", view.container},
      {"IommuGroup", std::move(group)},
      {"GroupMembers", Strings(device.group_members)},
      {"Bars", DescribeBars(device)},
      {"ResetMethods", std::move(resets)},
      {"PowerState", device.power_state},
      {"NumaNode", std::move(node)},
      {"BootDisplay", device.is_boot_display},
      {"Sriov", json::object{{"Total", device.total_vfs},
                             {"Active", device.active_vfs},
                             {"VirtualFunctions", Strings(device.virtual_functions)},
                             {"PhysicalFunction", std::move(physical)}}},
      {"Fit", view.IsFit()},
      {"Obstacles", std::move(obstacles)},
  };
}

}  // namespace hull::cli
