#include "runtime/devices/device_request.h"

#include <algorithm>
#include <charconv>

#include "runtime/devices/fitness.h"
#include "runtime/devices/gpu_request.h"
#include "runtime/devices/host_uses.h"
#include "runtime/devices/pci_device.h"
#include "vmm/base/escape.h"

namespace hull::devices {
namespace {

constexpr std::string_view kPciPrefix = "pci=";
constexpr std::string_view kVfioPrefix = "vfio=";
constexpr std::string_view kNodePrefix = "/dev/vfio/";
constexpr std::string_view kCdevPrefix = "/dev/vfio/devices/";

std::string_view Word(std::string_view text) {
  return text.substr(0, 256);
}

class Resolver {
 public:
  explicit Resolver(const HostTree& host)
      : host_(host), iommu_(IommuState::Read(host)), uses_(HostUses::LookForVms(host)) {}

  Result<DeviceGrant> Resolve(const std::vector<std::string>& devices,
                              const std::vector<std::string>& gpus) {
    std::vector<std::string> cdi_names;
    for (const std::string& text : devices) {
      if (IsCdiName(text) && !text.starts_with(kPciPrefix) && !text.starts_with(kVfioPrefix)) {
        cdi_names.push_back(text);
      } else {
        HULL_TRY_WITHIN("--device " + EscapeControl(Word(text)), AddDevice(text));
      }
    }
    if (!cdi_names.empty()) HULL_TRY(AddCdi(cdi_names));
    for (const std::string& text : gpus) {
      HULL_TRY_WITHIN("--gpus " + EscapeControl(Word(text)), AddGpus(text));
    }
    return std::move(grant_);
  }

 private:
  Status AddDevice(std::string_view text) {
    if (text.starts_with(kVfioPrefix)) return AddNode(text.substr(kVfioPrefix.size()));
    if (text.starts_with(kPciPrefix)) text.remove_prefix(kPciPrefix.size());
    for (;;) {
      const size_t end = text.find(',');
      HULL_ASSIGN(const PciAddress address, ParsePciAddress(text.substr(0, end)));
      HULL_TRY(Add(address));
      if (end == std::string_view::npos) return {};
      text.remove_prefix(end + 1);
    }
  }

  // A group's node, or a device's.
  Status AddNode(std::string_view path) {
    if (path.starts_with(kCdevPrefix)) {
      const std::string name(path.substr(kCdevPrefix.size()));
      const bool is_plain = !name.empty() && name.find('/') == std::string::npos;
      const Result<PciAddress> address = ParsePciAddress(
          is_plain ? host_.LinkName("/sys/class/vfio-dev/" + name + "/device") : "");
      if (!address) return NoSuchNode(path);
      return Add(*address);
    }
    uint32_t group = 0;
    const std::string_view number =
        path.starts_with(kNodePrefix) ? path.substr(kNodePrefix.size()) : std::string_view();
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), group);
    if (error != std::errc() || end != number.data() + number.size()) return NoSuchNode(path);
    bool found = false;
    for (const std::string& name :
         host_.List(fmt::format("/sys/kernel/iommu_groups/{}/devices", group))) {
      HULL_ASSIGN(const PciAddress address, ParsePciAddress(name));
      const Result<PciDevice> device = ReadPciDevice(host_, address);
      if (!device || !device->IsOnVfio()) continue;
      found = true;
      HULL_TRY(Add(address));
    }
    return found ? Status() : NoSuchNode(path);
  }

  tl::unexpected<Error> NoSuchNode(std::string_view path) const {
    return Fail(Error(ErrorCode::kNotFound,
                      fmt::format("{} is no VFIO device that a PCI device is bound to",
                                  EscapeControl(Word(path))))
                    .WithHint("/dev/vfio/GROUP appears with hull device bind; hull device ls shows "
                              "groups"));
  }

  Status AddCdi(const std::vector<std::string>& names) {
    const CdiRegistry registry = CdiRegistry::Load(host_);
    CdiEdits edits;
    HULL_TRY_WITHIN("CDI device injection failed", registry.Apply(names, edits));
    for (const CdiEdits::DeviceNode& node : edits.device_nodes) {
      // What opens VFIO itself, not a device.
      if (node.host_path == "/dev/vfio/vfio" || node.host_path == "/dev/iommu") continue;
      if (!node.host_path.starts_with(kNodePrefix)) {
        return Fail(
            Error(ErrorCode::kUnsupported,
                  fmt::format("CDI device injection failed: {} is a node of a driver of the "
                              "host, which a VM does not reach",
                              EscapeControl(Word(node.host_path))))
                .WithHint("hull passes whole devices: a CDI file for VMs names "
                          "/dev/vfio/GROUP"));
      }
      HULL_TRY_WITHIN("CDI device injection failed", AddNode(node.host_path));
    }
    grant_.environment = std::move(edits.environment);
    grant_.mounts = std::move(edits.mounts);
    grant_.additional_gids = std::move(edits.additional_gids);
    return {};
  }

  Status AddGpus(const std::string& text) {
    HULL_ASSIGN(const GpuRequest request, ParseGpuRequest(text));
    std::vector<PciDevice> bound;
    std::string unbound;
    for (PciDevice& device : ListPciDevices(host_)) {
      if (!device.IsGpu()) continue;
      if (device.IsOnVfio()) {
        bound.push_back(std::move(device));
      } else {
        unbound += " " + device.address.ToString();
      }
    }
    for (const std::string& word : request.devices) HULL_TRY(AddGpu(word, bound));
    if (!request.devices.empty()) return {};
    size_t added = 0;
    for (const PciDevice& device : bound) {
      if (request.count && added == *request.count) break;
      // Of a number any will do, so one that another VM has is passed over.
      if (request.count && !Obstacles(device).empty()) continue;
      HULL_TRY(Add(device.address));
      ++added;
    }
    if (request.all ? added > 0 : added == *request.count) return {};
    return Fail(
        Error(ErrorCode::kNotFound,
              fmt::format("could not select device driver \"\" with capabilities: [[gpu]]: {} "
                          "of the host's displays {} bound to vfio-pci and free",
                          added, added == 1 ? "is" : "are"))
            .WithHint(unbound.empty() ? "hull device ls --filter class=03 shows displays"
                                      : "hull device bind" + unbound));
  }

  Status AddGpu(const std::string& word, const std::vector<PciDevice>& bound) {
    uint32_t index = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), index);
    if (error == std::errc() && end == word.data() + word.size()) {
      if (index < bound.size()) return Add(bound[index].address);
      return Fail(ErrorCode::kNotFound, "there is no GPU {}: {} bound to vfio-pci", index,
                  bound.size() == 1 ? "1 is" : fmt::format("{} are", bound.size()));
    }
    HULL_ASSIGN(const PciAddress address, ParsePciAddress(word));
    HULL_ASSIGN(const PciDevice device, ReadPciDevice(host_, address));
    if (device.IsGpu()) return Add(address);
    return Fail(ErrorCode::kInvalidArgument, "{} is no display", address.ToString());
  }

  // Those that count for a device that is bound already: that it has no reset, its binder knew.
  std::vector<Obstacle> Obstacles(const PciDevice& device) const {
    std::vector<Obstacle> obstacles = ObstaclesOf(host_, iommu_, uses_, device);
    std::erase_if(obstacles, [](const Obstacle& it) { return it.can_be_forced; });
    return obstacles;
  }

  Status Add(const PciAddress& address) {
    const bool is_there = std::any_of(grant_.functions.begin(), grant_.functions.end(),
                                      [&](const PciFunction& it) { return it.address == address; });
    if (is_there) return {};
    if (grant_.functions.size() >= kMaxFunctions) {
      return Fail(ErrorCode::kExhausted, "more than {} devices for one VM", kMaxFunctions);
    }
    HULL_ASSIGN(const PciDevice device, ReadPciDevice(host_, address));
    const std::vector<Obstacle> obstacles = Obstacles(device);
    if (!obstacles.empty()) return Fail(AsError(device, obstacles));
    if (!device.IsOnVfio()) {
      return Fail(Error(ErrorCode::kUnavailable,
                        fmt::format("device {} is the host's: {}", address.ToString(),
                                    device.driver.empty() ? "no driver has it"
                                                          : "its driver is " + device.driver))
                      .WithHint("hull device bind " + address.ToString()));
    }
    grant_.functions.push_back({address, device.iommu_group.value_or(0)});
    return {};
  }

  const HostTree& host_;
  IommuState iommu_;
  HostUses uses_;
  DeviceGrant grant_;
};

}  // namespace

bool IsDeviceRequest(std::string_view text) {
  return text.starts_with(kPciPrefix) || text.starts_with(kVfioPrefix) || IsCdiName(text) ||
         ParsePciAddress(text).has_value();
}

Result<DeviceGrant> ResolveDevices(const HostTree& host, const std::vector<std::string>& devices,
                                   const std::vector<std::string>& gpus) {
  for (const std::string& text : devices) {
    if (IsDeviceRequest(text)) continue;
    return Fail(Error(ErrorCode::kInvalidArgument,
                      fmt::format("--device {}: it names no device that can be passed to a VM",
                                  EscapeControl(Word(text))))
                    .WithHint("pci=0000:01:00.0, vfio=/dev/vfio/12, or a CDI name as in "
                              "vendor.com/class=name"));
  }
  return Resolver(host).Resolve(devices, gpus);
}

}  // namespace hull::devices
