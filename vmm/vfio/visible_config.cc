#include "vmm/vfio/visible_config.h"

#include <linux/pci_regs.h>

#include <algorithm>
#include <bitset>

#include "vmm/base/log.h"
#include "vmm/vfio/vfio_header.h"

namespace hull::vfio {
namespace {

constexpr uint32_t kCommandWritable = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
                                      PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
                                      PCI_COMMAND_INTX_DISABLE;
constexpr uint32_t kHeaderTypeMask = 0x7f;
constexpr uint32_t kMaxCapabilities = 48;  // (256 - 64) / 4
constexpr uint32_t kFirstCapability = 0x40;
constexpr uint32_t kHeaderBytes = 2;  // of a capability: id and next

constexpr uint32_t kExpressVersion1Bytes = 0x14;
constexpr uint32_t kExpressVersion2Bytes = 0x3c;
constexpr uint32_t kExpressType = PCI_EXP_FLAGS_TYPE;
constexpr uint32_t kExpressTypeShift = 4;

bool Fits(uint32_t offset, uint32_t size_bytes) {
  return size_bytes <= pci::kConfigBytes && offset <= pci::kConfigBytes - size_bytes;
}

}  // namespace

Result<VisibleConfig> VisibleConfig::Read(const Device& device) {
  const uint32_t type = device.ReadConfig(PCI_HEADER_TYPE, 1) & kHeaderTypeMask;
  if (type != PCI_HEADER_TYPE_NORMAL) {
    return Fail(ErrorCode::kUnsupported, "{}",
                type == PCI_HEADER_TYPE_BRIDGE
                    ? "it is a bridge: pass the devices behind it"
                    : "its configuration space cannot be read: the device does not answer");
  }
  VisibleConfig config;
  config.ReadHeader(device);
  config.ReadBars(device);
  config.ReadCapabilities(device);
  return config;
}

void VisibleConfig::ReadHeader(const Device& device) {
  const auto keep = [&](uint32_t offset, size_t size_bytes) {
    space_.Set(offset, size_bytes, device.ReadConfig(offset, size_bytes));
  };
  keep(PCI_VENDOR_ID, 4);
  keep(PCI_CLASS_REVISION, 4);
  keep(PCI_SUBSYSTEM_VENDOR_ID, 4);
  space_.SetWritable(PCI_COMMAND, 2, kCommandWritable);
  Pass(PCI_STATUS, 2);
  space_.SetWritable(PCI_CACHE_LINE_SIZE, 1, 0xff);
  space_.SetWritable(PCI_LATENCY_TIMER, 1, 0xff);
  space_.SetWritable(PCI_INTERRUPT_LINE, 1, 0xff);
  has_line_ = device.ReadConfig(PCI_INTERRUPT_PIN, 1) != 0 &&
              device.InterruptsOf({VFIO_PCI_INTX_IRQ_INDEX}).count != 0;
  // Each device has a slot of its own, and its line is the slot's first.
  if (has_line_) space_.Set(PCI_INTERRUPT_PIN, 1, 1);
}

void VisibleConfig::ReadBars(const Device& device) {
  for (uint32_t i = 0; i < pci::kBars; ++i) {
    const uint32_t value = device.ReadConfig(PCI_BASE_ADDRESS_0 + 4 * i, 4);
    const std::optional<pci::Bar> bar = pci::DescribeBar(i, value, device.bar(i).size_bytes);
    if (!bar) continue;
    bars_.push_back(*bar);
    if (bar->kind == pci::BarKind::kMemory64) ++i;
  }
}

const pci::Bar* VisibleConfig::FindBar(uint32_t index) const {
  const auto found = std::ranges::find(bars_, index, &pci::Bar::index);
  return found == bars_.end() ? nullptr : &*found;
}

void VisibleConfig::ReadCapabilities(const Device& device) {
  if ((device.ReadConfig(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST) == 0) return;
  std::bitset<pci::kConfigBytes> taken;
  uint32_t link = PCI_CAPABILITY_LIST;  // where the next shown capability's offset goes
  uint32_t at = device.ReadConfig(PCI_CAPABILITY_LIST, 1) & ~3U;
  for (uint32_t hops = 0; at >= kFirstCapability && hops < kMaxCapabilities; ++hops) {
    const uint32_t next = device.ReadConfig(at + PCI_CAP_LIST_NEXT, 1) & ~3U;
    const auto id = static_cast<uint8_t>(device.ReadConfig(at + PCI_CAP_LIST_ID, 1));
    if (!taken[at]) {
      const uint32_t size_bytes = AddCapability(device, at, id);
      if (size_bytes != 0) {
        for (uint32_t i = 0; i < size_bytes && at + i < pci::kConfigBytes; ++i) taken.set(at + i);
        space_.Set(at + PCI_CAP_LIST_ID, 1, id);
        space_.Set(link, 1, at);
        link = at + PCI_CAP_LIST_NEXT;
      }
    }
    at = next;
  }
}

uint32_t VisibleConfig::AddCapability(const Device& device, uint32_t offset, uint8_t id) {
  switch (id) {
    case PCI_CAP_ID_PM:
      return AddPowerManagement(device, offset);
    case PCI_CAP_ID_EXP:
      return AddExpress(device, offset);
    case PCI_CAP_ID_MSI:
      return AddMsi(device, offset);
    case PCI_CAP_ID_MSIX:
      return AddMsix(device, offset);
    case PCI_CAP_ID_VPD:
      return Pass(offset + kHeaderBytes, PCI_CAP_VPD_SIZEOF - kHeaderBytes);
    case PCI_CAP_ID_AF:
      return Pass(offset + kHeaderBytes, PCI_CAP_AF_SIZEOF - kHeaderBytes);
    case PCI_CAP_ID_VNDR: {
      const uint32_t size_bytes = device.ReadConfig(offset + PCI_CAP_FLAGS, 1);
      return size_bytes <= kHeaderBytes ? 0
                                        : Pass(offset + kHeaderBytes, size_bytes - kHeaderBytes);
    }
    default:
      return 0;
  }
}

uint32_t VisibleConfig::AddPowerManagement(const Device& device, uint32_t offset) {
  if (!Fits(offset, PCI_PM_SIZEOF)) return 0;
  // The device stays in D0: nothing of it can be reached in D3, and an access of the guest would
  // end the VM. What the guest sets, it reads back. It gets no power management events.
  constexpr uint32_t kEvents = PCI_PM_CAP_PME_MASK;
  space_.Set(offset + PCI_PM_PMC, 2, device.ReadConfig(offset + PCI_PM_PMC, 2) & ~kEvents);
  space_.Set(offset + PCI_PM_CTRL, 2, PCI_PM_CTRL_NO_SOFT_RESET);
  space_.SetWritable(offset + PCI_PM_CTRL, 2, PCI_PM_CTRL_STATE_MASK);
  return PCI_PM_SIZEOF;
}

uint32_t VisibleConfig::AddExpress(const Device& device, uint32_t offset) {
  if (!Fits(offset, kExpressVersion1Bytes)) return 0;
  uint32_t flags = device.ReadConfig(offset + PCI_EXP_FLAGS, 2);
  const bool is_version_2 = (flags & PCI_EXP_FLAGS_VERS) >= 2;
  if (is_version_2 && !Fits(offset, kExpressVersion2Bytes)) return 0;
  flags = (flags & ~kExpressType) | (uint32_t{PCI_EXP_TYPE_RC_END} << kExpressTypeShift);
  space_.Set(offset + PCI_EXP_FLAGS, 2, flags);
  // Device capabilities, control and status.
  Pass(offset + PCI_EXP_DEVCAP, 8);
  express_control_ = offset + PCI_EXP_DEVCTL;
  if (is_version_2) Pass(offset + PCI_EXP_DEVCAP2, 8);
  return is_version_2 ? kExpressVersion2Bytes : kExpressVersion1Bytes;
}

uint32_t VisibleConfig::AddMsi(const Device& device, uint32_t offset) {
  if (msi_ || !Fits(offset, PCI_MSI_FLAGS + 2)) return 0;
  const auto control = static_cast<uint16_t>(device.ReadConfig(offset + PCI_MSI_FLAGS, 2));
  const pci::MsiCapability::Shape shape = pci::MsiCapability::ReadShape(offset, control);
  const uint32_t size_bytes = pci::MsiCapability::SizeBytes(shape);
  if (!Fits(offset, size_bytes) || device.InterruptsOf({VFIO_PCI_MSI_IRQ_INDEX}).count == 0) {
    return 0;
  }
  msi_ = shape;
  return size_bytes;
}

uint32_t VisibleConfig::AddMsix(const Device& device, uint32_t offset) {
  if (msix_ || !Fits(offset, pci::MsixCapability::kCapabilityBytes)) return 0;
  const auto control = static_cast<uint16_t>(device.ReadConfig(offset + PCI_MSIX_FLAGS, 2));
  const pci::MsixCapability::Shape shape =
      pci::MsixCapability::ReadShape(offset, control, device.ReadConfig(offset + PCI_MSIX_TABLE, 4),
                                     device.ReadConfig(offset + PCI_MSIX_PBA, 4));
  const pci::Bar* const bar = FindBar(shape.table_bar);
  if (bar == nullptr || bar->kind == pci::BarKind::kPorts ||
      uint64_t{shape.table_offset} + shape.table_bytes() > bar->size_bytes ||
      device.InterruptsOf({VFIO_PCI_MSIX_IRQ_INDEX}).count == 0) {
    log::Warn("{}: its MSI-X table is nowhere: the guest is not shown MSI-X", device.name());
    return 0;
  }
  msix_ = shape;
  return pci::MsixCapability::kCapabilityBytes;
}

uint32_t VisibleConfig::Pass(uint32_t offset, uint32_t size_bytes) {
  if (!Fits(offset, size_bytes)) return 0;
  std::fill_n(passed_.begin() + offset, size_bytes, true);
  return size_bytes + kHeaderBytes;
}

uint32_t VisibleConfig::DeviceBytes(uint32_t offset, size_t size_bytes) const {
  uint32_t mask = 0;
  for (uint32_t i = 0; i < size_bytes; ++i) {
    if (offset + i < pci::kConfigBytes && passed_[offset + i]) mask |= 0xffU << (8 * i);
  }
  return mask;
}

}  // namespace hull::vfio
