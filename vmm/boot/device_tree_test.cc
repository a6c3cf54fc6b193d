#include "vmm/boot/device_tree.h"

#include <gtest/gtest.h>
#include <libfdt.h>

#include <string>

#include "vmm/boot/fdt_writer.h"

namespace hull {
namespace {

// Reads a tree back with libfdt.
class Tree {
 public:
  explicit Tree(std::vector<std::byte> blob) : blob_(std::move(blob)) {}
  const void* data() const { return blob_.data(); }
  int Node(const char* path) const { return fdt_path_offset(data(), path); }
  std::string Text(const char* path, const char* name) const {
    int length = 0;
    const void* value = fdt_getprop(data(), Node(path), name, &length);
    if (value == nullptr || length < 1) return "(none)";
    return {static_cast<const char*>(value), static_cast<size_t>(length) - 1};
  }
  std::vector<uint32_t> Cells(const char* path, const char* name) const {
    int length = 0;
    const auto* value = static_cast<const fdt32_t*>(fdt_getprop(data(), Node(path), name, &length));
    std::vector<uint32_t> cells;
    for (int i = 0; value != nullptr && i < length / 4; ++i)
      cells.push_back(fdt32_to_cpu(value[i]));
    return cells;
  }
  bool Has(const char* path, const char* name) const {
    return fdt_getprop(data(), Node(path), name, nullptr) != nullptr;
  }

 private:
  std::vector<std::byte> blob_;
};

using Cells = std::vector<uint32_t>;

DeviceTreeConfig Config() {
  DeviceTreeConfig config;
  config.cpus = 2;
  config.local_apic = GuestAddress(0xfee0'0000);
  config.io_apic = GuestAddress(0xfec0'0000);
  config.system_control = {.power_address = GuestAddress(0xd010'0000),
                           .power_bytes = 0x10,
                           .power_off_offset = 4,
                           .power_off_value = 0x77,
                           .panic_address = GuestAddress(0xd010'0800),
                           .panic_bytes = 2};
  config.virtio = {
      {.address = GuestAddress(0xd000'1000), .size_bytes = 0x1000, .interrupt_line = 16},
      {.address = GuestAddress(0x1'd000'0000),
       .size_bytes = 0x1000,
       .interrupt_line = 5,
       .needed_at_boot = false}};
  return config;
}

TEST(DeviceTreeTest, CpusCarryTheirApicIds) {
  const Tree tree(MakeDeviceTree(Config()).value());
  ASSERT_EQ(fdt_check_full(tree.data(), fdt_totalsize(tree.data())), 0);
  EXPECT_EQ(tree.Text("/cpus/cpu@1", "device_type"), "cpu");
  EXPECT_EQ(tree.Cells("/cpus/cpu@0", "reg"), Cells{0});
  EXPECT_EQ(tree.Cells("/cpus/cpu@1", "reg"), Cells{1});
  EXPECT_LT(tree.Node("/cpus/cpu@2"), 0);
}

TEST(DeviceTreeTest, InterruptControllersAreWhatLinuxLooksFor) {
  const Tree tree(MakeDeviceTree(Config()).value());
  EXPECT_EQ(tree.Text("/lapic@fee00000", "compatible"), "intel,ce4100-lapic");
  EXPECT_TRUE(tree.Has("/lapic@fee00000", "intel,virtual-wire-mode"));
  EXPECT_EQ(tree.Text("/ioapic@fec00000", "compatible"), "intel,ce4100-ioapic");
  EXPECT_EQ(tree.Cells("/ioapic@fec00000", "#interrupt-cells"), Cells{2});
  EXPECT_EQ(tree.Cells("/ioapic@fec00000", "phandle"), tree.Cells("/", "interrupt-parent"));
}

TEST(DeviceTreeTest, VirtioDevicesKeepTheirOrder) {
  const Tree tree(MakeDeviceTree(Config()).value());
  EXPECT_EQ(tree.Cells("/virtio_mmio@d0001000", "reg"), (Cells{0, 0xd000'1000, 0, 0x1000}));
  EXPECT_EQ(tree.Cells("/virtio_mmio@d0001000", "interrupts"), (Cells{16, 3}));
  EXPECT_EQ(tree.Cells("/virtio_mmio@1d0000000", "reg"), (Cells{1, 0xd000'0000, 0, 0x1000}));
  EXPECT_LT(tree.Node("/virtio_mmio@d0001000"), tree.Node("/virtio_mmio@1d0000000"));
}

TEST(DeviceTreeTest, WhatIsNotNeededAtBootIsLeftToTheAgent) {
  const Tree tree(MakeDeviceTree(Config()).value());
  EXPECT_EQ(tree.Text("/virtio_mmio@d0001000", "compatible"), "virtio,mmio");
  EXPECT_EQ(tree.Text("/virtio_mmio@1d0000000", "compatible"), "hull,virtio-mmio-later");
}

TEST(DeviceTreeTest, PowerOffPointsAtItsRegister) {
  const Tree tree(MakeDeviceTree(Config()).value());
  EXPECT_EQ(tree.Cells("/poweroff", "regmap"), tree.Cells("/power@d0100000", "phandle"));
  EXPECT_EQ(tree.Cells("/poweroff", "offset"), Cells{4});
  EXPECT_EQ(tree.Cells("/poweroff", "value"), Cells{0x77});
  EXPECT_EQ(tree.Cells("/pvpanic@d0100800", "reg"), (Cells{0, 0xd010'0800, 0, 2}));
}

TEST(DeviceTreeTest, LargestMachineFits) {
  DeviceTreeConfig config = Config();
  config.cpus = 32;
  config.virtio.clear();
  for (uint64_t i = 0; i < 24; ++i) {
    config.virtio.push_back({.address = GuestAddress(0xd000'0000 + i * 0x1000),
                             .size_bytes = 0x1000,
                             .interrupt_line = static_cast<uint32_t>(i)});
  }
  EXPECT_TRUE(MakeDeviceTree(config).has_value());
}

TEST(FdtWriterTest, OutgrownTreeIsAnError) {
  FdtWriter fdt(256);
  fdt.BeginNode("");
  fdt.Text("long", std::string(300, 'x'));
  fdt.EndNode();
  const auto tree = std::move(fdt).Finish();
  ASSERT_FALSE(tree.has_value());
  EXPECT_EQ(tree.error().code(), ErrorCode::kExhausted);
}

TEST(DeviceTreeTest, PciBusIsThereOnlyWhenAskedForAndMapsItsLines) {
  EXPECT_LT(Tree(MakeDeviceTree(Config()).value()).Node("/pci"), 0);
  DeviceTreeConfig config = Config();
  config.pci =
      DeviceTreePci{.ports = *GuestRange::Make(GuestAddress(0x1000), 0xf000),
                    .low_memory = *GuestRange::Make(GuestAddress(0xd040'0000), 0x2e80'0000),
                    .high_memory = *GuestRange::Make(GuestAddress(0x1'4000'0000), 0x8'0000'0000),
                    .lines = {{.slot = 1, .interrupt_line = 20}, {.slot = 3, .interrupt_line = 15}},
                    .dma_pool = {}};
  const Tree tree(MakeDeviceTree(config).value());
  // What Linux looks for (arch/x86/kernel/devicetree.c, pcibios_get_phb_of_node).
  EXPECT_EQ(tree.Text("/pci", "device_type"), "pci");
  EXPECT_EQ(tree.Cells("/pci", "bus-range"), (Cells{0, 0}));
  EXPECT_EQ(tree.Cells("/pci", "interrupt-map-mask"), (Cells{0xf800, 0, 0, 7}));
  const uint32_t controller = tree.Cells("/ioapic@fec00000", "phandle").at(0);
  EXPECT_EQ(tree.Cells("/pci", "interrupt-map"),
            (Cells{1 << 11, 0, 0, 1, controller, 20, 1, 3 << 11, 0, 0, 1, controller, 15, 1}));
  EXPECT_EQ(tree.Cells("/pci", "ranges").size(), 21U);
  EXPECT_FALSE(tree.Has("/pci", "memory-region")) << "devices reach all memory";
  EXPECT_LT(tree.Node("/reserved-memory"), 0);
}

TEST(DeviceTreeTest, DmaPoolIsReservedMemoryThatTheBusPointsAt) {
  DeviceTreeConfig config = Config();
  config.pci = DeviceTreePci{.ports = *GuestRange::Make(GuestAddress(0x1000), 0xf000),
                             .low_memory = *GuestRange::Make(GuestAddress(0xd040'0000), 0x1000),
                             .high_memory = {},
                             .lines = {},
                             .dma_pool = *GuestRange::Make(GuestAddress(0x2a0'0000), 0x100'0000)};
  const Tree tree(MakeDeviceTree(config).value());
  ASSERT_EQ(fdt_check_full(tree.data(), fdt_totalsize(tree.data())), 0);
  // Linux takes reserved memory only with the root's cells and with ranges.
  EXPECT_EQ(tree.Cells("/reserved-memory", "#address-cells"), tree.Cells("/", "#address-cells"));
  EXPECT_EQ(tree.Cells("/reserved-memory", "#size-cells"), tree.Cells("/", "#size-cells"));
  EXPECT_TRUE(tree.Has("/reserved-memory", "ranges"));
  const char* const pool = "/reserved-memory/dma-pool@2a00000";
  EXPECT_EQ(tree.Text(pool, "compatible"), "restricted-dma-pool");
  EXPECT_EQ(tree.Cells(pool, "reg"), (Cells{0, 0x2a0'0000, 0, 0x100'0000}));
  EXPECT_EQ(tree.Cells("/pci", "memory-region"), tree.Cells(pool, "phandle"));
  EXPECT_NE(tree.Cells(pool, "phandle"), tree.Cells("/power@d0100000", "phandle"));
  EXPECT_NE(tree.Cells(pool, "phandle"), tree.Cells("/ioapic@fec00000", "phandle"));
}

}  // namespace
}  // namespace hull
