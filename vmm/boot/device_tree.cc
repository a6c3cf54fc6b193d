#include "vmm/boot/device_tree.h"

#include <fmt/format.h>

#include "vmm/boot/fdt_writer.h"

namespace hull {
namespace {

constexpr uint32_t kIoApicPhandle = 1;
constexpr uint32_t kPowerPhandle = 2;
constexpr uint64_t kApicPageBytes = 0x1000;

// The second cell of an interrupt, an index into a table of Linux's (of_ioapic_type): edge, rising.
constexpr uint32_t kEdgeRising = 3;

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
  fdt.Text("compatible", "virtio,mmio");
  fdt.Reg(device.address.value(), device.size_bytes);
  fdt.Cells("interrupts", {device.interrupt_line, kEdgeRising});
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
  AddSystemControl(fdt, config.system_control);
  fdt.EndNode();
  return std::move(fdt).Finish();
}

}  // namespace hull
