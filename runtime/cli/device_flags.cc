#include "runtime/cli/device_flags.h"

#include <algorithm>
#include <optional>

#include "runtime/cli/units.h"
#include "runtime/devices/device_request.h"
#include "runtime/devices/gpu_request.h"
#include "runtime/devices/pci_address.h"
#include "vmm/api/vm_config.h"
#include "vmm/base/escape.h"

namespace hull::cli {
namespace {

constexpr std::string_view kNodePrefix = "/dev/";
constexpr std::string_view kVfioNodePrefix = "/dev/vfio/";
// linux/module.h: MODULE_NAME_LEN, with the NUL.
constexpr size_t kMaxModuleName = 55;

// The PCI function that a path of sysfs goes through last.
std::optional<devices::PciAddress> LastAddress(std::string_view path) {
  while (!path.empty()) {
    const size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) break;
    if (const auto address = devices::ParsePciAddress(path.substr(slash + 1))) return *address;
    path = path.substr(0, slash);
  }
  return std::nullopt;
}

// "/dev/nvme0n1": the device of the host's that its driver made this node for.
std::optional<devices::PciAddress> DeviceBehind(const devices::HostTree& host,
                                                const std::string& node) {
  const std::string resolved = host.Resolve(node);
  const std::string& path = resolved.empty() ? node : resolved;
  const std::string name = path.substr(path.rfind('/') + 1);
  if (name.empty()) return std::nullopt;
  for (const std::string& kind : host.List("/sys/class")) {
    const auto address = LastAddress(host.Resolve("/sys/class/" + kind + "/" + name));
    if (address) return address;
  }
  return std::nullopt;
}

// Docker's "/dev/x[:/dev/y[:rwm]]".
Error RefuseNode(const devices::HostTree& host, const std::string& text) {
  const std::string node = text.substr(0, text.find(':'));
  Error error = MakeError(ErrorCode::kUnsupported,
                          "--device {}: the container's kernel is not the host's, and has none of "
                          "the host's device nodes",
                          EscapeControl(text));
  if (node.starts_with(kVfioNodePrefix)) {
    return std::move(error).WithHint(
        fmt::format("--device vfio={} passes that VFIO group", EscapeControl(node)));
  }
  if (const auto address = DeviceBehind(host, node)) {
    return std::move(error).WithHint(
        fmt::format("pass the PCI device that is behind it: hull device bind {0}, then "
                    "--device pci={0}",
                    address->ToString()));
  }
  return std::move(error).WithHint(
      "--device pci=ADDRESS passes a whole PCI device (hull device ls shows them); --privileged "
      "shows the devices of the container's own virtual machine");
}

Result<std::vector<std::string>> ParseModules(std::string_view text) {
  std::vector<std::string> modules;
  for (;;) {
    const size_t end = text.find(',');
    const std::string_view name = text.substr(0, end);
    const bool is_name = !name.empty() && name.size() <= kMaxModuleName &&
                         std::all_of(name.begin(), name.end(), [](char c) {
                           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                  (c >= '0' && c <= '9') || c == '_' || c == '-';
                         });
    if (!is_name) {
      return Fail(ErrorCode::kInvalidArgument, "{}: '{}' is no name of a kernel module",
                  kModulesAnnotation, EscapeControl(name));
    }
    if (modules.size() == kMaxModules) {
      return Fail(ErrorCode::kInvalidArgument, "{}: more than {} modules", kModulesAnnotation,
                  kMaxModules);
    }
    modules.emplace_back(name);
    if (end == std::string_view::npos) return modules;
    text.remove_prefix(end + 1);
  }
}

Result<uint64_t> ParseDmaPool(const std::string& text) {
  const Result<uint64_t> bytes = ParseBytes(text);
  if (!bytes) {
    return Fail(ErrorCode::kInvalidArgument, "{}: {}", kDmaPoolAnnotation, bytes.error().message());
  }
  if (*bytes < api::kMinDmaPoolBytes || *bytes > api::kMaxDmaPoolBytes ||
      *bytes % api::kDmaPoolGranuleBytes != 0) {
    return Fail(Error(ErrorCode::kInvalidArgument,
                      fmt::format("{}: '{}' is not a whole number of MiB from {}m to {}m",
                                  kDmaPoolAnnotation, EscapeControl(text),
                                  api::kMinDmaPoolBytes >> 20U, api::kMaxDmaPoolBytes >> 20U))
                    .WithHint("without it the devices reach all of the machine's memory"));
  }
  return *bytes;
}

const std::string* FindAnnotation(const ContainerOptions& container, std::string_view name) {
  const auto found = std::find_if(container.annotations.begin(), container.annotations.end(),
                                  [&](const NameValue& it) { return it.first == name; });
  return found == container.annotations.end() ? nullptr : &found->second;
}

Status CheckHasDevice(const DeviceOptions& options, std::string_view annotation,
                      std::string_view what) {
  if (options.Any()) return {};
  return Fail(Error(ErrorCode::kInvalidArgument,
                    fmt::format("{}: only a virtual machine with passed-through devices {}",
                                annotation, what))
                  .WithHint("--device or --gpus names the device that it is for"));
}

}  // namespace

Status ReadDeviceFlags(const FlagReader& reader, const devices::HostTree& host,
                       ContainerOptions& container) {
  DeviceOptions& options = container.devices;
  options.devices = reader.List(RunFlag::kDevice);
  for (const std::string& text : options.devices) {
    if (devices::IsDeviceRequest(text)) continue;
    if (text.starts_with(kNodePrefix)) return Fail(RefuseNode(host, text));
    return Fail(reader
                    .Wrong(RunFlag::kDevice, text,
                           "it is neither a PCI device, a VFIO group nor a CDI name")
                    .WithHint("pci=0000:01:00.0, vfio=/dev/vfio/12, or a CDI name as in "
                              "vendor.com/class=name"));
  }
  options.gpus = reader.List(RunFlag::kGpus);
  for (const std::string& text : options.gpus) {
    const Result<devices::GpuRequest> request = devices::ParseGpuRequest(text);
    if (request) continue;
    if (request.error().code() == ErrorCode::kUnsupported) return Fail(request.error());
    return Fail(reader.Wrong(RunFlag::kGpus, text, request.error().message()));
  }
  if (const std::string* const modules = FindAnnotation(container, kModulesAnnotation)) {
    HULL_TRY(CheckHasDevice(options, kModulesAnnotation, "has a kernel that takes modules"));
    HULL_ASSIGN(options.modules, ParseModules(*modules));
  }
  if (const std::string* const pool = FindAnnotation(container, kDmaPoolAnnotation)) {
    HULL_TRY(CheckHasDevice(options, kDmaPoolAnnotation, "has memory that devices reach"));
    HULL_ASSIGN(options.dma_pool_bytes, ParseDmaPool(*pool));
  }
  return {};
}

}  // namespace hull::cli
