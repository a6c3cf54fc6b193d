#include "runtime/devices/fitness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "runtime/devices/fake_host_fixture.h"

namespace hull::devices {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using Kind = Obstacle::Kind;

const PciAddress kAddress{0, 1, 0, 0};

class FitnessTest : public testing::Test {
 protected:
  FitnessTest() { host_.MakeAble(); }

  std::vector<Obstacle> Obstacles(const PciAddress& address = kAddress,
                                  std::vector<PciAddress> together = {}) {
    const PciDevice device = ReadPciDevice(host_.tree(), address).value();
    return ObstaclesOf(host_.tree(), IommuState::Read(host_.tree()), HostUses::Look(host_.tree()),
                       device, together);
  }
  std::vector<Kind> Kinds(const PciAddress& address = kAddress) {
    std::vector<Kind> kinds;
    for (const Obstacle& obstacle : Obstacles(address)) kinds.push_back(obstacle.kind);
    return kinds;
  }
  std::string Text() {
    std::string text;
    for (const Obstacle& obstacle : Obstacles()) text += obstacle.text + "\n";
    return text;
  }

  FakeHost host_;
};

TEST_F(FitnessTest, AnOrdinaryDeviceIsFit) {
  host_.Add({});
  EXPECT_THAT(Kinds(), IsEmpty());
}

TEST_F(FitnessTest, ABridgeIsNot) {
  host_.Add({.class_code = 0x060400, .driver = "pcieport"});
  EXPECT_THAT(Kinds(), ElementsAre(Kind::kBridge));
}

TEST_F(FitnessTest, WithoutAnIommuTheCommandLineIsNamedByProcessor) {
  host_.Add({.group = -1});
  ASSERT_THAT(Kinds(), ElementsAre(Kind::kNoIommu));
  EXPECT_THAT(Obstacles().front().remedy, HasSubstr("firmware (VT-d"));
  EXPECT_THAT(Obstacles().front().remedy, HasSubstr("add intel_iommu=on iommu=pt"));
  host_.Write("/sys/firmware/acpi/tables/IVRS", "x");
  host_.Write("/proc/cpuinfo", "vendor_id\t: AuthenticAMD\n");
  EXPECT_THAT(Obstacles().front().remedy, HasSubstr("add amd_iommu=on iommu=pt"));
  EXPECT_THAT(Obstacles().front().remedy, testing::Not(HasSubstr("firmware")));
  host_.Write("/proc/cmdline", "quiet amd_iommu=off");
  EXPECT_THAT(Obstacles().front().remedy, HasSubstr("take iommu=off"));
}

TEST_F(FitnessTest, ADeviceThatTheIommuDoesNotCoverIsNot) {
  host_.Add({.group = -1});
  host_.Add({.address = "0000:02:00.0"});
  EXPECT_THAT(Kinds(), ElementsAre(Kind::kNotCovered));
}

TEST_F(FitnessTest, InterruptsHaveToBeRemappedUnlessTheOperatorSaysNot) {
  host_.Add({});
  host_.Write("/proc/interrupts", "  0:  1  IO-APIC 2-edge timer\n");
  EXPECT_THAT(Kinds(), ElementsAre(Kind::kNoInterruptRemapping));
  EXPECT_FALSE(Obstacles().front().can_be_forced);
  host_.Write("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n");
  EXPECT_THAT(Kinds(), IsEmpty());
}

TEST_F(FitnessTest, AGroupIsSharedWithBridgesStubsAndTheDriverlessOnly) {
  host_.Add({.group = 5});
  host_.Add({.address = "0000:00:05.0", .class_code = 0x060400, .driver = "pcieport", .group = 5});
  host_.Add({.address = "0000:01:00.1", .driver = "", .group = 5});
  host_.Add({.address = "0000:01:00.2", .driver = "vfio-pci", .group = 5});
  host_.Add({.address = "0000:01:00.3", .driver = "mlx5_vfio_pci", .group = 5});
  EXPECT_THAT(Kinds(), IsEmpty());
  // A bridge of another kind does DMA, and its driver says nothing of VFIO.
  host_.Add({.address = "0000:00:1f.0", .class_code = 0x060100, .driver = "lpc_ich", .group = 5});
  host_.Add({.address = "0000:01:00.4", .driver = "snd_hda_intel", .group = 5});
  ASSERT_THAT(Kinds(), ElementsAre(Kind::kGroupShared));
  EXPECT_EQ(Obstacles().front().text,
            "its IOMMU group 5 also holds 0000:00:1f.0 (driver lpc_ich), 0000:01:00.4 (driver "
            "snd_hda_intel): the IOMMU cannot tell them apart");
  EXPECT_THAT(Obstacles().front().remedy, HasSubstr("a part of the board itself"));
  EXPECT_THAT(Obstacles(kAddress, {{0, 0, 0x1f, 0}, {0, 1, 0, 4}}), IsEmpty());
}

TEST_F(FitnessTest, WithoutAResetItTakesForce) {
  host_.Add({.reset_method = "\n"});
  ASSERT_THAT(Kinds(), ElementsAre(Kind::kNoReset));
  EXPECT_TRUE(Obstacles().front().can_be_forced);
}

TEST_F(FitnessTest, BarsThatFoundNoRoomOrAreTooLargeAreNamed) {
  host_.Add({.resource = "0x0000000000000000 0x0000000fffffffff 0x000000002014220c\n"});
  ASSERT_THAT(Kinds(), ElementsAre(Kind::kBarUnassigned));
  EXPECT_THAT(Text(), HasSubstr("its BAR 0 of 67108864 KiB has no address"));
  // 40 bits: 1 TiB, of which the guest gets half.
  host_.Add({.resource = "0x0000010000000000 0x0000020000000000 0x000000000014220c\n"});
  ASSERT_THAT(Kinds(), ElementsAre(Kind::kBarsTooLarge));
  EXPECT_THAT(Text(), HasSubstr("1024 GiB of the 40 bits"));
  // Sums that wrap around.
  host_.Add({.resource = "0x0000000000000001 0xffffffffffffffff 0x000000000014220c\n"
                         "0x0000000000000001 0xffffffffffffffff 0x000000000014220c\n"});
  EXPECT_THAT(Kinds(), ElementsAre(Kind::kBarsTooLarge));
}

TEST_F(FitnessTest, ADeviceThatDoesNotAnswerHasLeftTheBus) {
  host_.Add({});
  host_.Write("/sys/devices/pci0000:00/0000:01:00.0/config", std::string(64, '\xff'));
  EXPECT_THAT(Kinds(), ElementsAre(Kind::kVanished));
  // A virtual function's own header says that always.
  host_.Add({.address = "0000:02:00.0", .group = 2});
  host_.Link("/sys/devices/pci0000:00/0000:01:00.0/physfn", "/sys/devices/pci0000:00/0000:02:00.0");
  EXPECT_THAT(Kinds(), IsEmpty());
}

TEST_F(FitnessTest, AMountedFileSystemIsInTheWay) {
  host_.Add({});
  host_.AddDisk("0000:01:00.0", "nvme0n1", "259:0");
  host_.AddDisk("0000:01:00.0", "nvme0n1/nvme0n1p2", "259:2");
  EXPECT_THAT(Kinds(), IsEmpty());
  host_.Write("/proc/self/mountinfo",
              "36 35 0:31 / /proc rw - proc proc rw\n"
              "40 35 259:2 / /with\\040blank rw,noatime shared:1 - ext4 /dev/nvme0n1p2 rw\n");
  ASSERT_THAT(Kinds(), ElementsAre(Kind::kHostUse));
  EXPECT_EQ(Text(), "the host uses it: nvme0n1p2 is mounted at /with blank\n");
  EXPECT_TRUE(Obstacles().front().can_be_forced);
}

TEST_F(FitnessTest, AMountOverAVolumeOverAnArrayIsSeen) {
  host_.Add({});
  host_.AddDisk("0000:01:00.0", "sda", "8:0");
  host_.AddDisk("0000:01:00.0", "sda/sda1", "8:1");
  host_.Write("/sys/devices/virtual/block/md0/dev", "9:0\n");
  host_.Link("/sys/class/block/md0", "/sys/devices/virtual/block/md0");
  host_.Link("/sys/devices/virtual/block/md0/slaves/sda1", "/sys/class/block/sda1");
  host_.Write("/sys/devices/virtual/block/dm-0/dev", "253:0\n");
  host_.Link("/sys/class/block/dm-0", "/sys/devices/virtual/block/dm-0");
  host_.Link("/sys/dev/block/253:0", "/sys/devices/virtual/block/dm-0");
  host_.Link("/sys/devices/virtual/block/dm-0/slaves/md0", "/sys/class/block/md0");
  // An array that is its own member must not keep us.
  host_.Link("/sys/devices/virtual/block/md0/slaves/dm-0", "/sys/class/block/dm-0");
  host_.Write("/proc/self/mountinfo", "40 35 253:0 / /home rw - ext4 /dev/mapper/home rw\n");
  EXPECT_THAT(Text(), HasSubstr("dm-0 is mounted at /home, which sda1 is part of"));
}

TEST_F(FitnessTest, ANamespaceUnderItsSubsystemIsSeen) {
  host_.Add({});
  const std::string place = "/sys/devices/virtual/nvme-subsystem/nvme-subsys0";
  host_.MakeDirectory("/sys/devices/pci0000:00/0000:01:00.0/nvme/nvme0");
  host_.Link(place + "/nvme0", "/sys/devices/pci0000:00/0000:01:00.0/nvme/nvme0");
  host_.Write(place + "/nvme0n1/dev", "259:0\n");
  host_.Link("/sys/class/block/nvme0n1", place + "/nvme0n1");
  host_.Link("/sys/dev/block/259:0", place + "/nvme0n1");
  host_.Write("/proc/self/mountinfo", "40 35 259:0 / / rw - xfs /dev/nvme0n1 rw\n");
  EXPECT_THAT(Text(), HasSubstr("nvme0n1 is mounted at /"));
}

TEST_F(FitnessTest, ADirectoryOfTheMachineAboveIsInTheWay) {
  host_.Add({.driver = "virtio-pci"});
  const std::string place = "/sys/devices/pci0000:00/0000:01:00.0/virtio1";
  host_.Write(place + "/mount_tag", std::string_view("share\0", 6));
  host_.Link("/sys/bus/virtio/devices/virtio1", place);
  host_.Write("/proc/self/mountinfo", "22 1 0:20 / /data rw - 9p other rw,trans=virtio\n");
  EXPECT_THAT(Kinds(), IsEmpty());
  host_.Write("/proc/self/mountinfo", "22 1 0:20 / /data rw - 9p share rw,trans=virtio\n");
  EXPECT_EQ(Text(), "the host uses it: share is mounted at /data\n");
  host_.Write("/proc/self/mountinfo", "22 1 0:20 / /data rw - virtiofs share rw\n");
  EXPECT_THAT(Kinds(), IsEmpty());
  host_.Write("/sys/fs/virtiofs/0/tag", "share\n");
  host_.Link("/sys/fs/virtiofs/0/device", place);
  EXPECT_EQ(Text(), "the host uses it: share is mounted at /data\n");
}

TEST_F(FitnessTest, SwapAndBtrfsAreInTheWay) {
  host_.Add({});
  host_.AddDisk("0000:01:00.0", "nvme0n1", "259:0");
  host_.Write("/proc/swaps",
              "Filename Type Size Used Priority\n/dev/nvme0n1 partition 1048572 0 -2\n"
              "/swap.img file 1 0 -3\n");
  EXPECT_EQ(Text(), "the host uses it: nvme0n1 is swap\n");
  host_.Remove("/proc/swaps");
  host_.Link("/sys/fs/btrfs/0f/devices/nvme0n1", "/sys/class/block/nvme0n1");
  EXPECT_THAT(Text(), HasSubstr("nvme0n1 belongs to a mounted btrfs"));
}

TEST_F(FitnessTest, TheDefaultRouteIsInTheWayAlsoUnderABridge) {
  host_.Add({.class_code = 0x020000, .driver = "e1000e"});
  host_.AddInterface("0000:01:00.0", "eth0");
  host_.Write("/proc/net/route",
              "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
              "eth0 0000A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n");
  EXPECT_THAT(Kinds(), IsEmpty());
  host_.Write("/proc/net/route", "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n");
  EXPECT_EQ(Text(), "the host uses it: eth0 has the default route\n");
  host_.Write("/proc/net/route", "br0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n");
  host_.MakeDirectory("/sys/devices/virtual/net/br0");
  host_.Link("/sys/class/net/br0", "/sys/devices/virtual/net/br0");
  host_.Link("/sys/devices/virtual/net/br0/lower_eth0", "/sys/class/net/eth0");
  host_.Link("/sys/devices/virtual/net/br0/lower_br0", "/sys/class/net/br0");
  EXPECT_EQ(Text(), "the host uses it: br0 has the default route, through eth0\n");
  host_.Remove("/proc/net/route");
  const std::string zero(32, '0');
  host_.Write("/proc/net/ipv6_route", zero + " 00 " + zero + " 00 " + zero +
                                          " ffffffff 1 0 00200200 lo\n" + zero + " 00 " + zero +
                                          " 00 fe80 400 1 0 3 eth0\n");
  EXPECT_EQ(Text(), "the host uses it: eth0 has the default route\n");
}

TEST_F(FitnessTest, TheOnlyDisplayIsInTheWayButNotOneOfTwo) {
  host_.Add({.class_code = 0x030000, .driver = "i915"});
  host_.MakeDirectory("/sys/devices/pci0000:00/0000:01:00.0/drm/card0/card0-HDMI-A-1");
  host_.Link("/sys/class/drm/card0-HDMI-A-1",
             "/sys/devices/pci0000:00/0000:01:00.0/drm/card0/card0-HDMI-A-1");
  host_.Write("/sys/class/drm/card0-HDMI-A-1/enabled", "disabled\n");
  EXPECT_THAT(Kinds(), IsEmpty());
  host_.Write("/sys/class/drm/card0-HDMI-A-1/enabled", "enabled\n");
  EXPECT_EQ(Text(), "the host uses it: it is the only display in use\n");
  host_.Add({.address = "0000:02:00.0", .class_code = 0x030000, .driver = "amdgpu", .group = 2});
  host_.MakeDirectory("/sys/devices/pci0000:00/0000:02:00.0/graphics/fb1");
  host_.Link("/sys/class/graphics/fb1", "/sys/devices/pci0000:00/0000:02:00.0/graphics/fb1");
  EXPECT_THAT(Kinds(), IsEmpty());
}

TEST_F(FitnessTest, TheFirmwaresDisplayCountsWhileTheTextConsoleIsOnIt) {
  host_.Add({.class_code = 0x030000, .driver = ""});
  host_.Write("/sys/devices/pci0000:00/0000:01:00.0/boot_vga", "1\n");
  EXPECT_THAT(Kinds(), IsEmpty());
  host_.Write("/sys/class/vtconsole/vtcon0/name", "(S) VGA+\n");
  host_.Write("/sys/class/vtconsole/vtcon0/bind", "1\n");
  EXPECT_THAT(Kinds(), ElementsAre(Kind::kHostUse));
}

TEST_F(FitnessTest, AnotherVmsDeviceIsInUseAndByWhomIsSaid) {
  host_.Add({.driver = "vfio-pci", .group = 12});
  EXPECT_THAT(Kinds(), IsEmpty());
  host_.AddProcess(100, "bash", "/dev/vfio/1");
  host_.AddProcess(101, "bash", "/dev/vfio/vfio");
  EXPECT_THAT(Kinds(), IsEmpty());
  // In a mount namespace of its own, /dev is not where it was.
  host_.AddProcess(4711, "hull-vmm", "/vfio/12");
  ASSERT_THAT(Kinds(), ElementsAre(Kind::kVfioUser));
  EXPECT_FALSE(Obstacles().front().can_be_forced);
  EXPECT_EQ(Text(),
            "it is in use already: process 4711 (hull-vmm), container 0123456789ab uses it\n");
}

TEST_F(FitnessTest, TheDeviceNodeOfIommufdIsKnown) {
  host_.Add({.driver = "vfio-pci"});
  host_.MakeDirectory("/sys/devices/pci0000:00/0000:01:00.0/vfio-dev/vfio3");
  host_.AddProcess(5, "qemu", "/dev/vfio/devices/vfio3");
  EXPECT_EQ(Text(), "it is in use already: process 5 (qemu) uses it\n");
}

TEST_F(FitnessTest, SeveralReasonsMakeOneError) {
  host_.Add({.reset_method = ""});
  host_.AddDisk("0000:01:00.0", "nvme0n1", "259:0");
  host_.Write("/proc/swaps", "/dev/nvme0n1 partition 1 0 -2\n");
  const PciDevice device = ReadPciDevice(host_.tree(), kAddress).value();
  const Error error = AsError(device, Obstacles());
  EXPECT_THAT(error.ToString(), HasSubstr("device 0000:01:00.0: the host uses it: nvme0n1 is swap; "
                                          "the kernel knows no way to reset it"));
  EXPECT_THAT(error.hint(), HasSubstr("stop that use first"));
}

TEST_F(FitnessTest, HostileNamesAreEscaped) {
  host_.Add({});
  host_.AddDisk("0000:01:00.0", "nvme0n1", "259:0");
  host_.Write(
      "/proc/self/mountinfo",
      "40 35 259:0 / /a\\033[2J rw - ext4 /dev/nvme0n1 rw\nrubbish\n - \n40 35 259:0 / /b\n");
  EXPECT_THAT(Text(), HasSubstr("/a\\x1b[2J"));
}

TEST(LockedMemory, ALimitBelowTheGuestsMemoryIsAnError) {
  const Status status = CheckLockedMemory(uint64_t{1} << 30U, uint64_t{8} << 20U, false);
  ASSERT_FALSE(status);
  EXPECT_EQ(
      status.error().ToString(),
      "memory cannot be pinned: a device needs all 1024 MiB of its VM in place, and this user "
      "may lock 8 MiB");
  EXPECT_TRUE(CheckLockedMemory(uint64_t{1} << 30U, uint64_t{8} << 20U, true));
  EXPECT_TRUE(CheckLockedMemory(uint64_t{1} << 30U, UINT64_MAX, false));
  EXPECT_TRUE(CheckLockedMemory(uint64_t{8} << 20U, uint64_t{8} << 20U, false));
}

}  // namespace
}  // namespace hull::devices
