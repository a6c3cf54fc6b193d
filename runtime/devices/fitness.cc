#include "runtime/devices/fitness.h"

#include <linux/capability.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "vmm/base/checked.h"
#include "vmm/base/escape.h"

namespace hull::devices {
namespace {

using Obstacles = std::vector<Obstacle>;

constexpr uint64_t kMaxTableBytes = uint64_t{16} << 20U;
constexpr std::string_view kNewLine = "\n";

bool IsWord(std::string_view text, std::string_view word) {
  const std::string padded = fmt::format(" {} ", text);
  return padded.find(fmt::format(" {} ", word)) != std::string::npos;
}

// The value of the first "name\t: value" line of /proc/cpuinfo.
std::string_view CpuField(std::string_view info, std::string_view name) {
  size_t at = 0;
  while (at < info.size()) {
    const std::string_view line = info.substr(at, info.find('\n', at) - at);
    if (line.starts_with(name)) {
      const size_t colon = line.find(": ");
      return colon == std::string_view::npos ? std::string_view() : line.substr(colon + 2);
    }
    at += line.size() + kNewLine.size();
  }
  return {};
}

void CheckIommu(const IommuState& iommu, const PciDevice& device, Obstacles& found) {
  if (iommu.groups == 0) {
    found.push_back(
        {Obstacle::Kind::kNoIommu,
         "the host has no IOMMU in use: nothing would keep the device to its VM's memory",
         iommu.HowToSwitchOn()});
  } else if (!device.iommu_group) {
    found.push_back({Obstacle::Kind::kNotCovered, "no IOMMU covers it: it is in no group",
                     "another slot may be behind one; some firmware leaves devices out"});
  } else if (!iommu.remaps_interrupts && !iommu.unsafe_interrupts_allowed) {
    found.push_back(
        {Obstacle::Kind::kNoInterruptRemapping,
         "the IOMMU does not remap interrupts: the device could forge those of the host",
         "switch interrupt remapping (x2APIC) on in the firmware and take intremap=off and "
         "nointremap "
         "from the kernel's command line; where the guests are trusted: "
         "modprobe vfio_iommu_type1 allow_unsafe_interrupts=1"});
  }
}

// The kernel's own rule (its DMA ownership): in a group that a VM has, no other device may be
// driven by a driver of the host that does DMA. Bridges' drivers and stubs say that they do none.
bool MayStayInGroup(const PciDevice& member) {
  constexpr std::array<std::string_view, 4> kHarmless = {"vfio-pci", "pci-stub", "pcieport",
                                                         "shpchp"};
  // Vendors' own VFIO drivers: "mlx5_vfio_pci", "nvgrace_gpu_vfio_pci".
  return member.driver.empty() || member.driver.ends_with("vfio_pci") ||
         std::find(kHarmless.begin(), kHarmless.end(), member.driver) != kHarmless.end();
}

void CheckGroup(const HostTree& host, const PciDevice& device, std::span<const PciAddress> together,
                Obstacles& found) {
  std::string in_use;
  std::string addresses;
  bool has_bridge = false;
  for (const PciAddress& address : device.group_members) {
    if (std::find(together.begin(), together.end(), address) != together.end()) continue;
    const Result<PciDevice> member = ReadPciDevice(host, address);
    if (!member || MayStayInGroup(*member)) continue;
    in_use += fmt::format("{}{} (driver {})", in_use.empty() ? "" : ", ", address.ToString(),
                          member->driver);
    addresses += " " + address.ToString();
    has_bridge = has_bridge || member->IsBridge();
  }
  if (in_use.empty()) return;
  found.push_back(
      {Obstacle::Kind::kGroupShared,
       fmt::format("its IOMMU group {} also holds {}: the IOMMU cannot tell them apart",
                   device.iommu_group.value_or(0), in_use),
       has_bridge ? "a part of the board itself is among them, which cannot leave the host; a card "
                    "may have a group of its own in another slot"
                  : fmt::format("bind them together: hull device bind {}{}; or move the card to a "
                                "slot of its own",
                                device.address.ToString(), addresses)});
}

void CheckBars(const IommuState& iommu, const PciDevice& device, Obstacles& found) {
  uint64_t sum = 0;
  bool is_too_large = false;
  for (size_t i = 0; i < device.bars.size(); ++i) {
    const Bar& bar = device.bars[i];
    if (bar.kind == Bar::Kind::kNone || bar.kind == Bar::Kind::kPort) continue;
    if (bar.unassigned) {
      found.push_back(
          {Obstacle::Kind::kBarUnassigned,
           fmt::format("its BAR {} of {} KiB has no address: it found no room on the host", i,
                       bar.size_bytes >> 10U),
           "switch \"above 4G decoding\" on in the firmware, or boot with pci=realloc"});
    }
    const std::optional<uint64_t> next = CheckedAdd(sum, bar.size_bytes);
    is_too_large = is_too_large || !next;
    sum = next.value_or(sum);
  }
  // The guest's memory needs the other half.
  if (iommu.physical_bits > 1 && iommu.physical_bits < 64) {
    is_too_large = is_too_large || sum > uint64_t{1} << (iommu.physical_bits - 1);
  }
  if (is_too_large) {
    found.push_back(
        {Obstacle::Kind::kBarsTooLarge,
         fmt::format("its BARs do not fit: they take {} GiB of the {} bits of address that "
                     "this processor has",
                     sum >> 30U, iommu.physical_bits),
         "make its BARs smaller, where the card's firmware can"});
  }
}

void CheckDevice(const HostTree& host, const PciDevice& device, Obstacles& found) {
  if (!device.physical_function) {
    // PCI 3.0, 6.1: all ones is what a read gives that nobody answers. (Virtual functions have it
    // in this field always.)
    const std::string header = host.Read(device.Path() + "/config", 4096);
    if (header.starts_with("\xff\xff")) {
      found.push_back({Obstacle::Kind::kVanished, "it does not answer: it has left the bus",
                       "look for its last words with dmesg; echo 1 > /sys/bus/pci/rescan, or a "
                       "restart, may bring it back"});
    }
  }
  if (device.active_vfs > 0) {
    found.push_back({Obstacle::Kind::kHasFunctions,
                     fmt::format("it has {} virtual functions, which would go with its driver",
                                 device.active_vfs),
                     fmt::format("pass those on, or remove them: hull device vf create 0 {}",
                                 device.address.ToString())});
  }
  if (device.reset_methods.empty()) {
    found.push_back({Obstacle::Kind::kNoReset,
                     "the kernel knows no way to reset it: the next to use it would find what the "
                     "last one left in it",
                     "give it to one VM alone and bind it with --force", true});
  }
}

}  // namespace

IommuState IommuState::Read(const HostTree& host) {
  IommuState state;
  const std::string info = host.Read("/proc/cpuinfo", kMaxTableBytes);
  const std::string_view vendor = CpuField(info, "vendor_id");
  if (vendor == "GenuineIntel") state.maker = Maker::kIntel;
  if (vendor == "AuthenticAMD" || vendor == "HygonGenuine") state.maker = Maker::kAmd;
  // "46 bits physical, 48 bits virtual"
  const std::string_view sizes = CpuField(info, "address sizes");
  std::from_chars(sizes.data(), sizes.data() + sizes.size(), state.physical_bits);
  state.groups = host.List("/sys/kernel/iommu_groups").size();
  state.in_firmware = host.Exists("/sys/firmware/acpi/tables/DMAR") ||
                      host.Exists("/sys/firmware/acpi/tables/IVRS");
  // The chips of remapped interrupts have names that begin so.
  state.remaps_interrupts =
      host.Read("/proc/interrupts", kMaxTableBytes).find(" IR-") != std::string::npos;
  const std::string allowed =
      host.Read("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
  state.unsafe_interrupts_allowed = allowed == "Y" || allowed == "1";
  state.command_line = EscapeControl(host.Read("/proc/cmdline"));
  return state;
}

std::string IommuState::HowToSwitchOn() const {
  if (groups > 0) return {};
  if (IsWord(command_line, "iommu=off") || IsWord(command_line, "intel_iommu=off") ||
      IsWord(command_line, "amd_iommu=off")) {
    return "the kernel's command line switches it off: take iommu=off, intel_iommu=off and "
           "amd_iommu=off out of it, and restart";
  }
  const std::string_view firmware =
      in_firmware ? "" : "switch it on in the firmware (VT-d, AMD-Vi, IOMMU), and ";
  constexpr std::string_view kHow =
      " to the kernel's command line (on Debian GRUB_CMDLINE_LINUX in /etc/default/grub, then "
      "update-grub) and restart";
  switch (maker) {
    case Maker::kIntel:
      return fmt::format("{}add intel_iommu=on iommu=pt{}", firmware, kHow);
    case Maker::kAmd:
      // Its driver is on by default wherever the firmware describes it.
      return fmt::format("{}add amd_iommu=on iommu=pt{}", firmware, kHow);
    case Maker::kUnknown:
      break;
  }
  return fmt::format("{}add intel_iommu=on (Intel) or amd_iommu=on (AMD), and iommu=pt,{}",
                     firmware, kHow);
}

std::vector<Obstacle> ObstaclesOf(const HostTree& host, const IommuState& iommu,
                                  const HostUses& uses, const PciDevice& device,
                                  std::span<const PciAddress> together) {
  Obstacles found;
  if (device.IsBridge()) {
    found.push_back({Obstacle::Kind::kBridge,
                     "it is a bridge: what is behind it can be passed on, "
                     "not it itself",
                     ""});
    return found;
  }
  CheckIommu(iommu, device, found);
  for (const HostUse& use : uses.Of(device)) {
    if (use.kind == HostUse::Kind::kVfioUser) {
      found.push_back({Obstacle::Kind::kVfioUser, "it is in use already: " + use.text,
                       "end that first; a group belongs to one VM at a time"});
    } else {
      found.push_back({Obstacle::Kind::kHostUse, "the host uses it: " + use.text,
                       "stop that use first; --force takes it away all the same", true});
    }
  }
  CheckGroup(host, device, together, found);
  CheckBars(iommu, device, found);
  CheckDevice(host, device, found);
  return found;
}

Error AsError(const PciDevice& device, std::span<const Obstacle> obstacles) {
  std::string text;
  std::string hint;
  for (const Obstacle& obstacle : obstacles) {
    text += (text.empty() ? "" : "; ") + obstacle.text;
    if (hint.empty()) hint = obstacle.remedy;
  }
  const bool is_busy = obstacles.front().kind == Obstacle::Kind::kVfioUser;
  return Error(is_busy ? ErrorCode::kUnavailable : ErrorCode::kUnsupported,
               fmt::format("device {}: {}", device.address.ToString(), text))
      .WithHint(std::move(hint));
}

namespace {

// The value of a "Name:   12 kB" line of /proc/meminfo.
std::optional<uint64_t> MemoryField(std::string_view info, std::string_view name) {
  const size_t at = info.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view rest = info.substr(at + name.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  uint64_t kibibytes = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), kibibytes);
  if (error != std::errc()) return std::nullopt;
  return kibibytes << 10U;
}

// Pinned memory is taken at once and cannot be swapped: what the host does not have, its OOM killer
// would have to find.
Status CheckFreeMemory(std::string_view info, uint64_t bytes) {
  const std::optional<uint64_t> available = MemoryField(info, "MemAvailable:");
  const uint64_t swap = MemoryField(info, "SwapFree:").value_or(0);
  if (!available || bytes <= *available + swap) return {};
  return Fail(Error(ErrorCode::kExhausted,
                    fmt::format("memory cannot be pinned: a device needs all {} MiB of its VM in "
                                "place, and this host has {} MiB to give",
                                bytes >> 20U, (*available + swap) >> 20U))
                  .WithHint("give the VM less memory (-m), its devices a pool of it (--annotation "
                            "hull.dma-pool=64m), or end something else"));
}

}  // namespace

Status CheckLockedMemory(const HostTree& host, uint64_t bytes) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return FailErrno("getrlimit");
  const std::string status = host.Read("/proc/self/status");
  constexpr std::string_view kEffective = "CapEff:\t";
  uint64_t capabilities = 0;
  if (const size_t at = status.find(kEffective); at != std::string::npos) {
    std::from_chars(status.data() + at + kEffective.size(), status.data() + status.size(),
                    capabilities, 16);
  }
  HULL_TRY(CheckLockedMemory(bytes, limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur,
                             (capabilities >> uint32_t{CAP_IPC_LOCK} & 1U) != 0));
  return CheckFreeMemory(host.Read("/proc/meminfo"), bytes);
}

Status CheckLockedMemory(uint64_t bytes, uint64_t limit_bytes, bool may_exceed) {
  if (may_exceed || limit_bytes == UINT64_MAX || bytes <= limit_bytes) return {};
  return Fail(
      Error(ErrorCode::kExhausted,
            fmt::format("memory cannot be pinned: a device needs all {} MiB of its VM in "
                        "place, and this user may lock {} MiB",
                        bytes >> 20U, limit_bytes >> 20U))
          .WithHint("raise it (ulimit -l, or memlock in /etc/security/limits.conf), give the "
                    "VM less memory, its devices a pool of it (--annotation hull.dma-pool=64m), or "
                    "run as root"));
}

}  // namespace hull::devices
