#include "runtime/devices/host_uses.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "vmm/base/escape.h"
#include "vmm/base/unique_fd.h"

namespace hull::devices {
namespace {

constexpr uint64_t kMaxTableBytes = uint64_t{16} << 20U;
// Of arrays on volumes on arrays, bridges over bonds: deeper is a circle.
constexpr size_t kMaxStacked = 256;
constexpr size_t kMaxDescriptors = 65536;
constexpr std::string_view kDevPrefix = "/dev/";
// Of containers, as hull ps shows them.
constexpr size_t kShortIdLength = 12;

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::vector<std::string_view> Fields(std::string_view line) {
  constexpr std::string_view kBlanks = " \t";
  std::vector<std::string_view> fields;
  for (;;) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
    if (line.empty()) return fields;
    const size_t end = std::min(line.find_first_of(kBlanks), line.size());
    fields.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

// procfs writes blanks in paths as \040.
std::string FromOctal(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 4, value, 8).ptr ==
            text.data() + i + 4) {
      out += static_cast<char>(value);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return EscapeControl(out);
}

std::string_view LastPart(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

bool IsNumber(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// The last function that is written out in a path of sysfs: all before it are bridges.
std::optional<PciAddress> LastAddress(std::string_view path) {
  while (!path.empty()) {
    if (const Result<PciAddress> address = ParsePciAddress(LastPart(path))) return *address;
    path = path.substr(0, std::min(path.rfind('/'), path.size()));
    if (path.find('/') == std::string_view::npos) break;
  }
  return std::nullopt;
}

}  // namespace

HostUses HostUses::Look(const HostTree& host) {
  HostUses uses(host);
  uses.LookAtMounts();
  uses.LookAtSwap();
  uses.LookAtBtrfs();
  uses.LookAtRoutes();
  uses.LookAtDisplays();
  uses.LookAtVfio();
  uses.LookAtClaims();
  return uses;
}

HostUses HostUses::LookForVms(const HostTree& host) {
  HostUses uses(host);
  uses.LookAtVfio();
  return uses;
}

std::vector<HostUse> HostUses::Of(const PciDevice& device) const {
  std::vector<HostUse> uses;
  if (const auto found = uses_.find(device.address); found != uses_.end()) uses = found->second;
  std::vector<std::string> nodes;
  if (device.iommu_group) nodes.push_back(fmt::format("{}", *device.iommu_group));
  for (const std::string& name : host_.List(device.Path() + "/vfio-dev")) {
    nodes.push_back("devices/" + name);
  }
  for (const std::string& node : nodes) {
    const auto found = vfio_users_.find(node);
    if (found == vfio_users_.end() || !device.IsOnVfio()) continue;
    uses.push_back({HostUse::Kind::kVfioUser, found->second});
    break;
  }
  if (uses.size() > kMaxUses) uses.resize(kMaxUses);
  return uses;
}

void HostUses::Add(const PciAddress& address, HostUse::Kind kind, std::string text) {
  std::vector<HostUse>& list = uses_[address];
  const bool is_known =
      std::any_of(list.begin(), list.end(), [&](const HostUse& use) { return use.text == text; });
  if (!is_known && list.size() < kMaxUses) list.push_back({kind, std::move(text)});
}

std::set<PciAddress> HostUses::FunctionsOf(const std::string& class_path) const {
  constexpr std::string_view kSubsystems = "/sys/devices/virtual/nvme-subsystem/";
  std::set<PciAddress> functions;
  const std::string path = host_.Resolve(class_path);
  if (!path.starts_with(kSubsystems)) {
    if (const std::optional<PciAddress> address = LastAddress(path)) functions.insert(*address);
    return functions;
  }
  // A namespace with several ways to it hangs under its subsystem, which has a link to each of the
  // controllers.
  const std::string subsystem = path.substr(0, path.find('/', kSubsystems.size()));
  for (const std::string& name : host_.List(subsystem)) {
    if (host_.LinkText(subsystem + "/" + name).empty() || name == "subsystem") continue;
    const std::optional<PciAddress> address = LastAddress(host_.Resolve(subsystem + "/" + name));
    if (address) functions.insert(*address);
  }
  return functions;
}

void HostUses::AddBlock(const std::string& name, HostUse::Kind kind, const std::string& text) {
  std::vector<std::string> waiting = {name};
  std::set<std::string, std::less<>> seen;
  std::set<PciAddress> told;
  while (!waiting.empty() && seen.size() < kMaxStacked) {
    const std::string current = waiting.back();
    waiting.pop_back();
    if (!seen.insert(current).second) continue;
    const std::string path = "/sys/class/block/" + current;
    for (const PciAddress& address : FunctionsOf(path)) {
      // Once is enough: not also the disk of its partition.
      if (!told.insert(address).second) continue;
      Add(address, kind,
          current == name ? text : fmt::format("{}, which {} is part of", text, current));
    }
    for (const std::string& below : host_.List(path + "/slaves")) waiting.push_back(below);
    // A partition has no slaves of its own; its disk may be an array.
    const std::string resolved = host_.Resolve(path);
    if (host_.Exists(path + "/partition")) {
      waiting.emplace_back(LastPart(resolved.substr(0, resolved.rfind('/'))));
    }
  }
}

void HostUses::AddShare(std::string_view type, const std::string& tag, const std::string& point) {
  std::set<PciAddress> functions;
  if (type == "9p") {
    for (const std::string& name : host_.List("/sys/bus/virtio/devices")) {
      const std::string path = "/sys/bus/virtio/devices/" + name;
      // Some kernels give the NUL at its end, too.
      const std::string its_tag = host_.Read(path + "/mount_tag");
      if (its_tag.substr(0, its_tag.find('\0')) == tag) functions.merge(FunctionsOf(path));
    }
  } else if (type == "virtiofs") {
    for (const std::string& name : host_.List("/sys/fs/virtiofs")) {
      const std::string path = "/sys/fs/virtiofs/" + name;
      if (host_.Read(path + "/tag") == tag) functions.merge(FunctionsOf(path + "/device"));
    }
  }
  for (const PciAddress& address : functions) {
    Add(address, HostUse::Kind::kFileSystem, fmt::format("{} is mounted at {}", tag, point));
  }
}

void HostUses::LookAtMounts() {
  constexpr size_t kDeviceField = 2;
  constexpr size_t kPointField = 4;
  const std::string table = host_.Read("/proc/self/mountinfo", kMaxTableBytes);
  for (const std::string_view line : Lines(table)) {
    const std::vector<std::string_view> fields = Fields(line);
    const auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() <= kPointField || fields.end() - dash < 3) continue;
    const std::string source = FromOctal(*(dash + 2));
    AddShare(*(dash + 1), source, FromOctal(fields[kPointField]));
    // A file system of several disks (btrfs) has a number of its own; then its source has to do.
    std::string path =
        host_.Resolve(fmt::format("/sys/dev/block/{}", EscapeControl(fields[kDeviceField])));
    if (path.empty() && source.starts_with(kDevPrefix)) {
      path = host_.Resolve(source);
      if (path.empty()) path = source;
    }
    if (path.empty()) continue;
    const std::string name(LastPart(path));
    AddBlock(name, HostUse::Kind::kFileSystem,
             fmt::format("{} is mounted at {}", name, FromOctal(fields[kPointField])));
  }
}

void HostUses::LookAtSwap() {
  const std::string table = host_.Read("/proc/swaps", kMaxTableBytes);
  for (const std::string_view line : Lines(table)) {
    const std::vector<std::string_view> fields = Fields(line);
    // A swap file is on a mounted file system.
    if (fields.size() < 2 || fields[1] != "partition") continue;
    const std::string source = FromOctal(fields[0]);
    const std::string resolved = host_.Resolve(source);
    const std::string name(LastPart(resolved.empty() ? source : resolved));
    AddBlock(name, HostUse::Kind::kSwap, fmt::format("{} is swap", name));
  }
}

void HostUses::LookAtBtrfs() {
  for (const std::string& id : host_.List("/sys/fs/btrfs")) {
    for (const std::string& name : host_.List("/sys/fs/btrfs/" + id + "/devices")) {
      AddBlock(name, HostUse::Kind::kFileSystem,
               fmt::format("{} belongs to a mounted btrfs", EscapeControl(name)));
    }
  }
}

void HostUses::LookAtClaims() {
  if (!host_.is_this_host() || ::geteuid() != 0) return;
  for (const std::string& name : host_.List("/sys/class/block")) {
    const std::set<PciAddress> functions = FunctionsOf("/sys/class/block/" + name);
    const bool is_told = std::all_of(functions.begin(), functions.end(),
                                     [this](const PciAddress& it) { return uses_.contains(it); });
    if (is_told) continue;
    // open(2): with O_EXCL and without O_CREAT, EBUSY says that a block device is in use by the
    // system, in whatever way.
    const std::string node = std::string(kDevPrefix) + name;
    const UniqueFd fd(::open(node.c_str(), O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC));
    if (fd.valid() || errno != EBUSY) continue;
    for (const PciAddress& address : functions) {
      Add(address, HostUse::Kind::kClaimed,
          fmt::format("{} is held by the kernel (an array, a volume, ZFS, or a mount of another "
                      "namespace)",
                      name));
    }
  }
}

void HostUses::AddNetwork(const std::string& name, const std::string& text) {
  constexpr std::string_view kLower = "lower_";
  std::vector<std::string> waiting = {name};
  std::set<std::string, std::less<>> seen;
  while (!waiting.empty() && seen.size() < kMaxStacked) {
    const std::string current = waiting.back();
    waiting.pop_back();
    if (!seen.insert(current).second) continue;
    const std::string path = "/sys/class/net/" + current;
    for (const PciAddress& address : FunctionsOf(path)) {
      Add(address, HostUse::Kind::kDefaultRoute,
          current == name ? text : fmt::format("{}, through {}", text, current));
    }
    for (const std::string& entry : host_.List(path)) {
      if (entry.starts_with(kLower)) waiting.push_back(entry.substr(kLower.size()));
    }
  }
}

void HostUses::LookAtRoutes() {
  const auto add = [this](std::string_view name) {
    const std::string escaped = EscapeControl(name);
    if (escaped.find('/') == std::string::npos) {
      AddNetwork(escaped, fmt::format("{} has the default route", escaped));
    }
  };
  // Interface, destination, gateway, flags, references, use, metric, mask.
  const std::string table4 = host_.Read("/proc/net/route", kMaxTableBytes);
  for (const std::string_view line : Lines(table4)) {
    const std::vector<std::string_view> fields = Fields(line);
    if (fields.size() > 7 && fields[1] == "00000000" && fields[7] == "00000000") add(fields[0]);
  }
  // Destination, its length, source, its length, next hop, metric, references, use, flags,
  // interface.
  const std::string table6 = host_.Read("/proc/net/ipv6_route", kMaxTableBytes);
  for (const std::string_view line : Lines(table6)) {
    const std::vector<std::string_view> fields = Fields(line);
    const bool is_default = fields.size() > 9 && fields[1] == "00" &&
                            fields[0].find_first_not_of('0') == std::string_view::npos;
    // The kernel's own "unreachable" goes by lo.
    if (is_default && fields[9] != "lo") add(fields[9]);
  }
}

void HostUses::LookAtDisplays() {
  std::set<PciAddress> in_use;
  for (const std::string& name : host_.List("/sys/class/drm")) {
    // card0-HDMI-A-1: a connector.
    const std::string path = "/sys/class/drm/" + name;
    if (host_.Read(path + "/enabled") != "enabled") continue;
    in_use.merge(FunctionsOf(path));
  }
  for (const std::string& name : host_.List("/sys/class/graphics")) {
    if (name.starts_with("fb") && IsNumber(std::string_view(name).substr(2))) {
      in_use.merge(FunctionsOf("/sys/class/graphics/" + name));
    }
  }
  // The text console and the firmware's frame buffer name no device: they are on the boot display.
  bool is_console = false;
  for (const std::string& name : host_.List("/sys/class/vtconsole")) {
    const std::string path = "/sys/class/vtconsole/" + name;
    is_console = is_console || (host_.Read(path + "/name").find("VGA") != std::string::npos &&
                                host_.ReadNumber(path + "/bind") == 1);
  }
  is_console = is_console || !host_.Read("/proc/fb").empty();
  for (const std::string& name : host_.List(kPciDevicesPath)) {
    const Result<PciAddress> address = ParsePciAddress(name);
    const std::string path = std::string(kPciDevicesPath) + "/" + name;
    if (address && is_console && host_.ReadNumber(path + "/boot_vga") == 1 &&
        host_.LinkName(path + "/driver") != kVfioDriver) {
      in_use.insert(*address);
    }
  }
  if (in_use.size() == 1) {
    Add(*in_use.begin(), HostUse::Kind::kDisplay, "it is the only display in use");
  }
}

void HostUses::LookAtVfio() {
  if (host_.List("/sys/bus/pci/drivers/vfio-pci").empty()) return;
  for (const std::string& pid : host_.List("/proc")) {
    if (!IsNumber(pid)) continue;
    const std::string directory = "/proc/" + pid + "/fd";
    for (const std::string& fd : host_.List(directory, kMaxDescriptors)) {
      // Of a process in a mount namespace of its own the path begins anywhere.
      const std::string target = host_.LinkText(directory + "/" + fd);
      const size_t at = target.rfind("/vfio/");
      const std::string node = at == std::string::npos ? "" : target.substr(at + 6);
      if (!IsNumber(node) && !node.starts_with("devices/")) continue;
      const std::string program = host_.Read("/proc/" + pid + "/comm");
      std::string who = fmt::format("process {} ({})", pid, program);
      // A machine of hull's runs in its container's directory, which has the container's id.
      const std::string id = host_.LinkName("/proc/" + pid + "/cwd");
      if (program == "hull-vmm" && !id.empty()) {
        who += fmt::format(", container {}", id.substr(0, kShortIdLength));
      }
      vfio_users_.emplace(node, EscapeControl(fmt::format("{} uses it", who)));
    }
  }
}

}  // namespace hull::devices
