#include "runtime/devices/pci_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/devices/fake_host_fixture.h"
#include "runtime/devices/pci_names.h"

namespace hull::devices {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

PciAddress At(std::string_view text) {
  return ParsePciAddress(text).value();
}

TEST(PciAddress, LongAndShortFormsAreRead) {
  EXPECT_EQ(At("0000:01:1f.7"), (PciAddress{0, 0x01, 0x1f, 7}));
  EXPECT_EQ(At("01:00.0"), (PciAddress{0, 1, 0, 0}));
  EXPECT_EQ(At("10000:E1:00.0"), (PciAddress{0x10000, 0xe1, 0, 0}));
  EXPECT_EQ(At("10000:E1:00.0").ToString(), "10000:e1:00.0");
}

TEST(PciAddress, WhatIsNoneIsRefused) {
  for (const char* text :
       {"", "01:00", "1:00.0", "01:0.0", "01:20.0", "01:00.8", "01:00.10", "0:01:00.0",
        "0000:01:00.0 ", " 01:00.0", "0000:01:00.0:0", "0x00:01:00.0", "-1:00.0", "zz:00.0",
        "000000000:01:00.0", "../../etc/passwd", "01:+1.0"}) {
    EXPECT_FALSE(ParsePciAddress(text)) << text;
  }
}

TEST(PciDevice, EverythingThatSysfsTellsIsRead) {
  FakeHost host;
  host.Add({.address = "0000:00:05.0", .class_code = 0x060400, .driver = "pcieport", .group = 0});
  host.Add({.address = "0000:01:00.0", .group = 7}, "0000:00:05.0");
  host.Add({.address = "0000:01:00.1", .driver = "", .group = 7}, "0000:00:05.0");
  host.Write("/sys/devices/pci0000:00/0000:00:05.0/0000:01:00.0/numa_node", "1\n");
  const PciDevice device = ReadPciDevice(host.tree(), At("01:00.0")).value();
  EXPECT_EQ(device.vendor, 0x8086);
  EXPECT_EQ(device.device, 0x1234);
  EXPECT_EQ(device.class_code, 0x010802U);
  EXPECT_EQ(device.driver, "nvme");
  EXPECT_EQ(device.override, "");
  EXPECT_EQ(device.iommu_group, 7U);
  EXPECT_THAT(device.group_members, ElementsAre(At("01:00.1")));
  EXPECT_THAT(device.reset_methods, ElementsAre("flr", "bus"));
  EXPECT_EQ(device.numa_node, 1);
  EXPECT_EQ(device.power_state, "D0");
  EXPECT_EQ(device.bars[0].kind, Bar::Kind::kMemory64);
  EXPECT_EQ(device.bars[0].size_bytes, 0x4000U);
  EXPECT_EQ(ListPciDevices(host.tree()).size(), 3U);
}

TEST(PciDevice, NoNumaNodeIsNone) {
  FakeHost host;
  host.Add({});
  EXPECT_EQ(ReadPciDevice(host.tree(), At("01:00.0")).value().numa_node, std::nullopt);
}

TEST(PciDevice, KindsOfBarsAreTold) {
  FakeHost host;
  host.Add({.resource = "0x000000000000c000 0x000000000000c03f 0x0000000000040101\n"
                        "0x00000000fe788000 0x00000000fe788fff 0x0000000000040200\n"
                        "0x0000004000000000 0x0000004fffffffff 0x000000000014220c\n"
                        "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
                        "0x0000000000000000 0x00000000ffffffff 0x000000002014220c\n"});
  const PciDevice device = ReadPciDevice(host.tree(), At("01:00.0")).value();
  EXPECT_EQ(device.bars[0].kind, Bar::Kind::kPort);
  EXPECT_EQ(device.bars[1].kind, Bar::Kind::kMemory32);
  EXPECT_FALSE(device.bars[1].prefetchable);
  EXPECT_EQ(device.bars[2].kind, Bar::Kind::kMemory64);
  EXPECT_TRUE(device.bars[2].prefetchable);
  EXPECT_EQ(device.bars[2].size_bytes, uint64_t{64} << 30U);
  EXPECT_FALSE(device.bars[2].unassigned);
  EXPECT_EQ(device.bars[3].kind, Bar::Kind::kNone);
  EXPECT_TRUE(device.bars[4].unassigned);
  EXPECT_EQ(device.bars[4].size_bytes, uint64_t{4} << 30U);
  EXPECT_EQ(device.bars[5].kind, Bar::Kind::kNone);
}

TEST(PciDevice, BrokenFilesGiveADeviceWithoutWhatTheyShouldSay) {
  // What a `resource` file may not make us believe.
  for (const char* resource :
       {"", "\n", "0x", "0xfe000000", "0xfe000000 0xfe003fff", "fe000000 fe003fff 200\n",
        "0xfe003fff 0xfe000000 0x200\n", "0x0 0xffffffffffffffff 0x200\n",
        "0xfffffffffffffffff 0xfffffffffffffffff 0x200\n", "0xfe000000 0xfe003fff 0x0\n"}) {
    FakeHost host;
    host.Add({.resource = resource});
    const PciDevice device = ReadPciDevice(host.tree(), At("01:00.0")).value();
    EXPECT_EQ(device.bars[0].kind, Bar::Kind::kNone) << resource;
  }
}

TEST(PciDevice, LyingAndLoopingFilesAreSurvived) {
  FakeHost host;
  host.Add({.total_vfs = 4});
  const std::string place = "/sys/devices/pci0000:00/0000:01:00.0";
  host.Write(place + "/sriov_numvfs", "4000000000000000000\n");
  host.Write(place + "/numa_node", "99999999999\n");
  host.Write(place + "/class", "0xffffffffffffffff\n");
  host.Write(place + "/vendor", "what?\n");
  host.Write(place + "/power_state", "\x1b[2J\n");
  host.Write(place + "/reset_method", std::string(1 << 20, 'x'));
  host.Link(place + "/virtfn0", place + "/virtfn0");
  host.Link(place + "/physfn", place);
  host.Link(place + "/iommu_group", "/sys/kernel/iommu_groups/elsewhere");
  const PciDevice device = ReadPciDevice(host.tree(), At("01:00.0")).value();
  EXPECT_EQ(device.vendor, 0);
  EXPECT_EQ(device.class_code, 0xffffffU);
  EXPECT_EQ(device.power_state, "\\x1b[2J");
  EXPECT_THAT(device.reset_methods, IsEmpty());
  EXPECT_THAT(device.virtual_functions, IsEmpty());
  EXPECT_EQ(device.iommu_group, std::nullopt);
}

TEST(PciDevice, OneThatIsNotThereIsNotFound) {
  FakeHost host;
  const Result<PciDevice> device = ReadPciDevice(host.tree(), At("01:00.0"));
  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().ToString(), "there is no PCI device 0000:01:00.0");
  EXPECT_THAT(ListPciDevices(host.tree()), IsEmpty());
}

TEST(HostTree, LinksThatCircleOrLeaveTheRootLeadNowhere) {
  FakeHost host;
  host.Link("/a", "/b");
  host.Link("/b", "/a");
  EXPECT_EQ(host.tree().Resolve("/a"), "");
  ASSERT_EQ(::symlink("/etc", host.Path("/c").c_str()), 0);
  EXPECT_EQ(host.tree().Resolve("/c"), "");
  host.Write("/d/e", "");
  host.Link("/f", "/d/e");
  EXPECT_EQ(host.tree().Resolve("/f"), "/d/e");
}

constexpr const char* kPciIds =
    "#\tList of PCI ID's\n"
    "\n"
    "8086  Intel Corporation\n"
    "\t10d3  82574L Gigabit Network Connection\n"
    "\t\t103c 1785  NC112i\n"
    "\t1521  I350 Gigabit Network Connection\n"
    "10de  NVIDIA Corporation\n"
    "\t2330  GH100 [H100 SXM5 80GB]\n"
    "C 01  Mass storage controller\n"
    "\t08  Non-Volatile memory controller\n"
    "\t\t02  NVM Express\n"
    "C 12  Processing accelerators\n";

TEST(PciNames, VendorsDevicesAndClassesAreFound) {
  const PciNames names{std::string(kPciIds)};
  EXPECT_EQ(names.Vendor(0x8086), "Intel Corporation");
  EXPECT_EQ(names.Device(0x8086, 0x1521), "I350 Gigabit Network Connection");
  EXPECT_EQ(names.Device(0x10de, 0x2330), "GH100 [H100 SXM5 80GB]");
  EXPECT_EQ(names.Class(0x010802), "Non-Volatile memory controller");
  EXPECT_EQ(names.Class(0x010000), "Mass storage controller");
  EXPECT_EQ(names.Class(0x120000), "Processing accelerators");
}

TEST(PciNames, WhatIsNotListedHasNoName) {
  const PciNames names{std::string(kPciIds)};
  EXPECT_EQ(names.Vendor(0x1234), "");
  EXPECT_EQ(names.Device(0x8086, 0x2330), "");
  EXPECT_EQ(names.Device(0x8086, 0x103c), "");  // a subsystem's, one level deeper
  EXPECT_EQ(names.Class(0x030000), "");
  EXPECT_TRUE(PciNames().empty());
  EXPECT_EQ(PciNames().Vendor(0x8086), "");
}

TEST(PciNames, BrokenTextIsPassedOver) {
  const PciNames names(
      "8086\n808  x\nzzzz  y\n\t10d3  orphan\n10de  a\x1b[2J\x07z\n\t23\n\t2330 one blank\n"
      "10de  second\nC zz  none\nC 0");
  EXPECT_EQ(names.Vendor(0x8086), "");
  EXPECT_EQ(names.Vendor(0x10de), "a\\x1b[2J\\x07z");
  EXPECT_EQ(names.Device(0x10de, 0x2330), "");
  EXPECT_EQ(PciNames("8086  " + std::string(5000, 'x')).Vendor(0x8086).size(), 200U);
}

TEST(PciNames, TheHostsFileIsTakenWhereverItIs) {
  FakeHost host;
  EXPECT_TRUE(PciNames::Load(host.tree()).empty());
  host.Write("/usr/share/hwdata/pci.ids", kPciIds);
  EXPECT_EQ(PciNames::Load(host.tree()).Vendor(0x8086), "Intel Corporation");
}

}  // namespace
}  // namespace hull::devices
