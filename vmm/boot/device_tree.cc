#include "vmm/boot/device_tree.h"

#include <fmt/format.h>

#include "vmm/boot/fdt_writer.h"

namespace hull {
namespace {

constexpr uint32_t kIoApicPhandle = 1;
constexpr uint32_t kPowerPhandle = 2;
constexpr uint32_t kDmaPoolPhandle = 3;
constexpr uint64_t kApicPageBytes = 0x1000;

// The second cell of an interrupt, an index into a table of Linux's (of_ioapic_type): edge, rising.
constexpr uint32_t kLevelHigh = 1;
constexpr uint32_t kEdgeRising = 3;

// IEEE 1275, PCI bus binding: the first cell of an address says which space it is in.
constexpr uint32_t kPciPorts = 0x0100'0000;
constexpr uint32_t kPciMemory32 = 0x0200'0000;
constexpr uint32_t kPciMemory64 = 0x4300'0000;  // prefetchable
constexpr uint32_t kPciSlotShift = 11;
constexpr uint32_t kPciSlotMask = 0xf800;
constexpr uint32_t kPciFirstPin = 1;
constexpr uint32_t kPciPinMask = 7;

std::string NodeName(const char* kind, GuestAddress address) {
  return fmt::format("{}@{:x}", kind, address.value());
}

void AddCpus(FdtWriter& fdt, uint32_t cpus) {
  fdt.BeginNode("cpus");
  fdt.Cells("#address-cells", {1});
  fdt.Cells("#size-cells", {0});
  for (uint32_t id = 0; id < cpus; ++id) {
    fdt.BeginNode(fmt::format("cpu@{:x}", id));
    fdt.Text("device_type", "cpu");
    fdt.Cells("reg", {id});
    fdt.EndNode();
  }
  fdt.EndNode();
}

void AddInterruptControllers(FdtWriter& fdt, const DeviceTreeConfig& config) {
  fdt.BeginNode(NodeName("lapic", config.local_apic));
  fdt.Text("compatible", "intel,ce4100-lapic");
  fdt.Reg(config.local_apic.value(), kApicPageBytes);
  // Without it Linux looks for an interrupt mode register of 1994.
  fdt.Flag("intel,virtual-wire-mode");
  fdt.EndNode();
  fdt.BeginNode(NodeName("ioapic", config.io_apic));
  fdt.Text("compatible", "intel,ce4100-ioapic");
  fdt.Reg(config.io_apic.value(), kApicPageBytes);
  fdt.Flag("interrupt-controller");
  fdt.Cells("#interrupt-cells", {2});
  fdt.Cells("#address-cells", {0});
  fdt.Cells("phandle", {kIoApicPhandle});
  fdt.EndNode();
}

void AddVirtio(FdtWriter& fdt, const DeviceTreeVirtio& device) {
  fdt.BeginNode(NodeName("virtio_mmio", device.address));
  fdt.Text("compatible", device.needed_at_boot ? kVirtioCompatible : kLaterVirtioCompatible);
  fdt.Reg(device.address.value(), device.size_bytes);
  fdt.Cells("interrupts", {device.interrupt_line, kEdgeRising});
  fdt.EndNode();
}

void AppendPciRange(std::vector<uint32_t>& cells, uint32_t space, const GuestRange& range) {
  if (range.empty()) return;
  const auto high = [](uint64_t value) { return static_cast<uint32_t>(value >> 32U); };
  const auto low = [](uint64_t value) { return static_cast<uint32_t>(value); };
  const uint64_t start = range.start().value();
  // The address on the bus is the address in the machine.
  cells.insert(cells.end(), {space, high(start), low(start), high(start), low(start),
                             high(range.size_bytes()), low(range.size_bytes())});
}

// Device Tree Specification 0.4, 3.5; the kind of region is Linux's.
void AddDmaPool(FdtWriter& fdt, const GuestRange& pool) {
  fdt.BeginNode("reserved-memory");
  fdt.Cells("#address-cells", {2});
  fdt.Cells("#size-cells", {2});
  fdt.Flag("ranges");
  fdt.BeginNode(NodeName("dma-pool", pool.start()));
  fdt.Text("compatible", "restricted-dma-pool");
  fdt.Reg(pool.start().value(), pool.size_bytes());
  fdt.Cells("phandle", {kDmaPoolPhandle});
  fdt.EndNode();
  fdt.EndNode();
}

void AddPci(FdtWriter& fdt, const DeviceTreePci& pci) {
  if (!pci.dma_pool.empty()) AddDmaPool(fdt, pci.dma_pool);
  fdt.BeginNode("pci");
  fdt.Text("compatible", "pci");
  fdt.Text("device_type", "pci");
  fdt.Cells("bus-range", {0, 0});
  fdt.Cells("#address-cells", {3});
  fdt.Cells("#size-cells", {2});
  fdt.Cells("#interrupt-cells", {1});
  std::vector<uint32_t> ranges;
  AppendPciRange(ranges, kPciPorts, pci.ports);
  AppendPciRange(ranges, kPciMemory32, pci.low_memory);
  AppendPciRange(ranges, kPciMemory64, pci.high_memory);
  fdt.Cells("ranges", ranges);
  std::vector<uint32_t> map;
  for (const DeviceTreePci::Line& line : pci.lines) {
    map.insert(map.end(), {line.slot << kPciSlotShift, 0, 0, kPciFirstPin, kIoApicPhandle,
                           line.interrupt_line, kLevelHigh});
  }
  fdt.Cells("interrupt-map-mask", {kPciSlotMask, 0, 0, kPciPinMask});
  fdt.Cells("interrupt-map", map);
  if (!pci.dma_pool.empty()) fdt.Cells("memory-region", {kDmaPoolPhandle});
  fdt.EndNode();
}

void AddSystemControl(FdtWriter& fdt, const DeviceTreeSystemControl& control) {
  fdt.BeginNode(NodeName("power", control.power_address));
  fdt.Text("compatible", "syscon");
  fdt.Reg(control.power_address.value(), control.power_bytes);
  fdt.Cells("phandle", {kPowerPhandle});
  fdt.EndNode();
  fdt.BeginNode("poweroff");
  fdt.Text("compatible", "syscon-poweroff");
  fdt.Cells("regmap", {kPowerPhandle});
  fdt.Cells("offset", {control.power_off_offset});
  fdt.Cells("value", {control.power_off_value});
  fdt.EndNode();
  fdt.BeginNode(NodeName("pvpanic", control.panic_address));
  fdt.Text("compatible", "qemu,pvpanic-mmio");
  fdt.Reg(control.panic_address.value(), control.panic_bytes);
  fdt.EndNode();
}

}  // namespace

Result<std::vector<std::byte>> MakeDeviceTree(const DeviceTreeConfig& config) {
  FdtWriter fdt(kMaxDeviceTreeBytes);
  fdt.BeginNode("");
  fdt.Text("compatible", "hull,machine");
  fdt.Text("model", "hull");
  fdt.Cells("#address-cells", {2});
  fdt.Cells("#size-cells", {2});
  fdt.Cells("interrupt-parent", {kIoApicPhandle});
  AddCpus(fdt, config.cpus);
  AddInterruptControllers(fdt, config);
  for (const DeviceTreeVirtio& device : config.virtio) AddVirtio(fdt, device);
  if (config.pci) AddPci(fdt, *config.pci);
  AddSystemControl(fdt, config.system_control);
  fdt.EndNode();
  return std::move(fdt).Finish();
}

}  // namespace hull
