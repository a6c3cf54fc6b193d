// hull device on a host with an IOMMU: an e1000e, an NVMe disk behind a root port, an NVMe disk
// with SR-IOV, `edu` without a reset, and a chipset whose devices share a group
// (scripts/lib/testing).
#include <string>

#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

// "key=value" of `hull device ls`, for the devices that it fits.
std::string List(const std::string& format, const std::string& filter = "address=:") {
  const Ended ended =
      RunProgram({"hull", "device", "ls", "-a", "--no-trunc", "-f", filter, "--format", format});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  return ended.out;
}

std::string FirstLine(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

// What `script` prints, without its last newline.
std::string Says(const std::string& script) {
  const Ended ended = Shell("set -e; " + script);
  EXPECT_EQ(ended.exit_code, 0) << script << ended;
  std::string out = ended.out;
  while (out.ends_with('\n')) out.pop_back();
  return out;
}

Ended Device(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"hull", "device"});
  return RunProgram(arguments);
}

class DeviceTest : public testing::Test {
 protected:
  void TearDown() override {
    Says(
        "for a in $(hull device ls -q -f driver=vfio-pci -f driver=-); do hull device unbind $a; "
        "done");
    EXPECT_EQ(List("{{.Address}}", "driver=vfio-pci"), "");
  }

  // The address of the NVMe disk with this serial number, whatever nvmeN it is at the moment.
  static std::string Disk(const std::string& serial) {
    return Says("for c in /sys/class/nvme/nvme*; do if grep -q '^" + serial +
                " *$' $c/serial; then basename $(readlink -f $c/device); fi; done");
  }
  // Its block device; waits for it, for the driver looks for it on its own time.
  static std::string Node(const std::string& address) {
    return Says(
        "for i in $(seq 100); do for n in /sys/bus/pci/devices/" + address +
        "/nvme/nvme*/nvme*n1; do if [ -b /dev/${n##*/} ]; then echo /dev/${n##*/}; exit; fi; "
        "done; sleep 0.1; done; exit 1");
  }
  static std::string Driver(const std::string& address) {
    return Says("basename $(readlink /sys/bus/pci/devices/" + address + "/driver || echo none)");
  }
};

TEST_F(DeviceTest, TheListIsWhatTheKernelSays) {
  EXPECT_EQ(
      List("{{.Address}} {{.Driver}}"),
      Says("cd /sys/bus/pci/devices; for d in *; do if [ -e $d/driver ]; then echo $d $(basename "
           "$(readlink $d/driver)); else echo $d -; fi; done") +
          "\n");
  EXPECT_EQ(List("{{.Address}} {{.ID}}", "driver=e1000e"),
            Says("cd /sys/bus/pci/drivers/e1000e; for d in 0*; do echo $d 8086:10d3; done") + "\n");
  EXPECT_EQ(FirstLine(List("{{.Name}}|{{.Bars}}|{{.Fit}}", "driver=e1000e")),
            "Intel Corporation 82574L Gigabit Network Connection|128K+128K+16K|yes");
  EXPECT_EQ(FirstLine(List("{{.Class}}|{{.Reset}}|{{.Sriov}}", "address=" + Disk("virtual"))),
            "Non-Volatile memory controller|flr|0/4");
  // The lab's own root comes from the machine above by one of them.
  EXPECT_NE(
      List("{{.Reasons}}", "driver=virtio-pci").find("the host uses it: root is mounted at /"),
      std::string::npos);
  // Of a group, the others.
  const std::string shared = FirstLine(List("{{.GroupMembers}}", "driver=ahci"));
  EXPECT_NE(shared.find(":1f.0,"), std::string::npos) << shared;
}

TEST_F(DeviceTest, ANetworkCardGoesToVfioAndComesBackWorking) {
  const std::string card = FirstLine(List("{{.Address}}", "driver=e1000e"));
  const std::string group = FirstLine(List("{{.Group}}", "driver=e1000e"));
  const Ended bound = Device({"bind", card});
  ASSERT_EQ(bound.out, card + "\n") << bound;
  EXPECT_EQ(Driver(card), "vfio-pci");
  EXPECT_EQ(Says("ls /dev/vfio/" + group), "/dev/vfio/" + group);
  EXPECT_EQ(FirstLine(List("{{.Fit}}|{{.State}}", "address=" + card)), "yes, bound|bound");
  const Ended again = Device({"bind", card});
  EXPECT_EQ(again.exit_code, 0) << again;
  const Ended back = Device({"unbind", card});
  ASSERT_EQ(back.out, card + "\n") << back;
  EXPECT_EQ(Driver(card), "e1000e");
  EXPECT_EQ(Says("for i in $(seq 50); do ls /sys/bus/pci/devices/" + card +
                 "/net 2>/dev/null | grep -q . && break; sleep 0.1; done; i=$(ls "
                 "/sys/bus/pci/devices/" +
                 card + "/net); ip link set $i up; cat /sys/class/net/$i/flags"),
            "0x1003");
  const Ended twice = Device({"unbind", card});
  EXPECT_EQ(twice.exit_code, 1) << twice;
  EXPECT_NE(twice.err.find("is not bound to vfio-pci: its driver is e1000e"), std::string::npos)
      << twice;
}

TEST_F(DeviceTest, ADisksDataIsAsItWas) {
  const std::string disk = Disk("data");
  const std::string sum = Says("dd if=/dev/urandom of=" + Node(disk) +
                               " bs=1M count=8 conv=fsync status=none; md5sum < " + Node(disk));
  ASSERT_EQ(Device({"bind", disk}).exit_code, 0);
  EXPECT_EQ(Says("ls /sys/bus/pci/devices/" + disk + "/nvme 2>/dev/null || echo none"), "none");
  const Ended back = Device({"unbind", disk});
  ASSERT_EQ(back.exit_code, 0) << back;
  EXPECT_EQ(Says("echo 3 > /proc/sys/vm/drop_caches; md5sum < " + Node(disk)), sum);
}

TEST_F(DeviceTest, AMountedFileSystemIsNotTakenAway) {
  const std::string disk = Disk("data");
  const std::string node = Node(disk);
  Says("mkfs.ext4 -q -F " + node + "; mkdir -p /tmp/mounted; mount " + node + " /tmp/mounted");
  const Ended refused = Device({"bind", disk});
  EXPECT_EQ(refused.exit_code, 1) << refused;
  EXPECT_NE(refused.err.find("the host uses it: " + node.substr(5) + " is mounted at /tmp/mounted"),
            std::string::npos)
      << refused;
  EXPECT_EQ(Driver(disk), "nvme");
  Says("umount /tmp/mounted");
  EXPECT_EQ(Device({"bind", disk}).exit_code, 0);
}

TEST_F(DeviceTest, AMountOfAnotherNamespaceIsSeenToo) {
  const std::string disk = Disk("data");
  const std::string node = Node(disk);
  const Ended refused = Shell(
      "mkfs.ext4 -q -F " + node + "; mkdir -p /tmp/other; unshare -m sh -c 'mount " + node +
      " /tmp/other && exec sleep 60' & for i in $(seq 100); do grep -q /tmp/other /proc/$!/mounts "
      "&& break; sleep 0.1; done; hull device bind " +
      disk + "; code=$?; kill $!; wait; exit $code");
  EXPECT_EQ(refused.exit_code, 1) << refused;
  EXPECT_NE(refused.err.find(node.substr(5) + " is held by the kernel"), std::string::npos)
      << refused;
}

TEST_F(DeviceTest, SharedGroupsMissingResetsAndBridgesAreRefusedInTheirOwnWords) {
  const std::string sata = FirstLine(List("{{.Address}}", "driver=ahci"));
  const Ended shared = Device({"bind", sata});
  EXPECT_EQ(shared.exit_code, 1) << shared;
  EXPECT_NE(shared.err.find("(driver lpc_ich)"), std::string::npos) << shared;
  EXPECT_NE(shared.err.find("hint: a part of the board itself"), std::string::npos) << shared;
  const std::string edu = FirstLine(List("{{.Address}}", "vendor=1234"));
  const Ended no_reset = Device({"bind", edu});
  EXPECT_EQ(no_reset.exit_code, 1) << no_reset;
  EXPECT_NE(no_reset.err.find("the kernel knows no way to reset it"), std::string::npos)
      << no_reset;
  EXPECT_EQ(Device({"bind", "--force", edu}).exit_code, 0);
  EXPECT_EQ(Device({"unbind", edu}).exit_code, 0);
  EXPECT_EQ(Driver(edu), "none");
  const Ended bridge = Device({"bind", FirstLine(List("{{.Address}}", "driver=pcieport"))});
  EXPECT_NE(bridge.err.find("it is a bridge"), std::string::npos) << bridge;
  const Ended gone = Device({"bind", "0000:7f:1f.7"});
  EXPECT_NE(gone.err.find("there is no PCI device 0000:7f:1f.7"), std::string::npos) << gone;
}

TEST_F(DeviceTest, ADeviceThatIsOpenIsNotGivenBackAndItsUserIsNamed) {
  const std::string disk = Disk("data");
  ASSERT_EQ(Device({"bind", disk}).exit_code, 0);
  const Ended refused = Shell("exec 9< /dev/vfio/$(basename $(readlink /sys/bus/pci/devices/" +
                              disk + "/iommu_group)); hull device unbind " + disk + " 9<&-");
  EXPECT_EQ(refused.exit_code, 1) << refused;
  EXPECT_NE(refused.err.find("is in use: process"), std::string::npos) << refused;
  EXPECT_NE(refused.err.find("(bash) uses it"), std::string::npos) << refused;
  EXPECT_EQ(Driver(disk), "vfio-pci");
}

TEST_F(DeviceTest, AKillAtAnyMomentIsMended) {
  const std::string disk = Disk("data");
  Node(disk);
  for (const char* seconds : {"0.02", "0.05", "0.1", "0.15", "0.2", "0.3"}) {
    for (const char* command : {"bind", "unbind"}) {
      // It may have been quick enough, or have had nothing to do yet.
      static_cast<void>(Shell(std::string("timeout -s KILL ") + seconds + " hull device " +
                              command + " " + disk));
      const Ended bound = Device({"bind", disk});
      ASSERT_EQ(bound.exit_code, 0) << command << " " << seconds << bound;
      ASSERT_EQ(Driver(disk), "vfio-pci");
    }
    const Ended back = Device({"unbind", disk});
    ASSERT_EQ(back.exit_code, 0) << back;
    ASSERT_EQ(Driver(disk), "nvme");
    EXPECT_EQ(Says("cat /sys/bus/pci/devices/" + disk + "/driver_override; ls /run/hull-devices"),
              "(null)\nlock");
    Node(disk);
  }
}

TEST_F(DeviceTest, VirtualFunctionsAreMadeBoundAndRemoved) {
  const std::string disk = Disk("virtual");
  const Ended made = Device({"vf", "create", "2", disk});
  ASSERT_EQ(made.exit_code, 0) << made;
  const std::string first = FirstLine(made.out);
  EXPECT_EQ(FirstLine(List("{{.Sriov}}|{{.Driver}}", "address=" + first)), "of " + disk + "|-");
  EXPECT_EQ(FirstLine(List("{{.Sriov}}", "address=" + disk)), "2/4");
  const Ended bound = Device({"bind", first});
  EXPECT_EQ(bound.exit_code, 0) << bound;
  const Ended physical = Device({"bind", disk});
  EXPECT_NE(physical.err.find("it has 2 virtual functions"), std::string::npos) << physical;
  EXPECT_EQ(Device({"unbind", first}).exit_code, 0);
  EXPECT_EQ(Driver(first), "none");
  const Ended many = Device({"vf", "create", "5", disk});
  EXPECT_NE(many.err.find("can have 4 virtual functions, not 5"), std::string::npos) << many;
  EXPECT_EQ(Device({"vf", "create", "0", disk}).exit_code, 0);
  EXPECT_EQ(Says("ls /sys/bus/pci/devices | grep -c " + first + " || true"), "0");
  EXPECT_EQ(Driver(disk), "nvme");
}

TEST_F(DeviceTest, CheckSeesTheIommu) {
  const Ended ended = RunProgram({"hull", "check", "--no-boot"});
  EXPECT_NE(ended.out.find("ok       iommu "), std::string::npos) << ended;
  EXPECT_NE(ended.out.find(" VT-d, "), std::string::npos) << ended;
  EXPECT_NE(ended.out.find("ok       interrupt remapping"), std::string::npos) << ended;
  EXPECT_NE(ended.out.find("ok       vfio-pci"), std::string::npos) << ended;
  // e1000e and two disks.
  EXPECT_NE(ended.out.find("3 can be passed through, 0 bound to vfio-pci, 2 share a group"),
            std::string::npos)
      << ended;
}

}  // namespace
}  // namespace hull::integration
