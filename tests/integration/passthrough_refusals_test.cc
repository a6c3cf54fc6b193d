// What is refused to containers that ask for devices, and in which words.
#include <string>
#include <vector>

#include "tests/integration/passthrough_fixture.h"

namespace hull::integration {
namespace {

std::string Line(const std::string& text, size_t index) {
  size_t at = 0;
  for (; index > 0; --index) at = text.find('\n', at) + 1;
  return text.substr(at, text.find('\n', at) - at);
}

// As an operator without hull would: no questions asked.
void BindByHand(const std::string& address) {
  Says("cd /sys/bus/pci/devices/" + address +
       "; echo vfio-pci > driver_override; "
       "[ ! -e driver ] || echo " +
       address + " > driver/unbind; echo " + address + " > /sys/bus/pci/drivers_probe");
}

// --- Groups --------------------------------------------------------------------------------------

TEST_F(PassthroughTest, AGroupThatTheHostUsesIsRefusedByBindAndByRunWithWhoseItIs) {
  const std::string function = GroupMate();
  const std::string other = function.substr(0, function.size() - 1) + "0";
  ASSERT_EQ(DriverOf(other), "e1000");
  const std::string shared =
      " also holds " + other + " (driver e1000): the IOMMU cannot tell them apart";
  const std::string together = "hull device bind " + function + " " + other;
  const Ended bound = Device({"bind", "--force", function});
  EXPECT_EQ(bound.exit_code, 1) << bound;
  EXPECT_TRUE(Contains(bound, shared)) << bound;
  EXPECT_TRUE(Contains(bound, together)) << bound;
  BindByHand(function);
  ASSERT_EQ(DriverOf(function), "vfio-pci");
  const Ended run = Run({function}, {kGuestImage, "true"});
  EXPECT_EQ(run.exit_code, 125) << run;
  EXPECT_TRUE(Contains(run, shared)) << run;
  EXPECT_TRUE(Contains(run, together)) << run;
  EXPECT_EQ(DriverOf(other), "e1000");
}

TEST_F(PassthroughTest, AWholeGroupGoesToOneContainerAndToNoSecond) {
  const std::string function = GroupMate();
  const std::string other = function.substr(0, function.size() - 1) + "0";
  Bind({other, function});
  const Ended ended = Script({other, function}, R"sh(
hull create --name second --device pci=$other sample/busybox true > /dev/null || exit 1
hull run -d --name first -m 128m $flags test/passthrough sh -c 'passthrough-guest show; sleep 1000' > /dev/null || exit 1
wait_log first 11e8; hull logs first
hull rm -f first > /dev/null
hull run -d --name first -m 128m --device pci=$device test/passthrough sleep 1000 > /dev/null
hull start second; echo $?)sh",
                             {.environment = {"other=" + function}});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_TRUE(Contains(ended, "0000:00:01.0 0x8086 0x100e 0x020000")) << ended;
  EXPECT_TRUE(Contains(ended, "0000:00:02.0 0x1234 0x11e8 0x00ff00")) << ended;
  EXPECT_TRUE(Contains(ended, "device " + function)) << ended;
  EXPECT_TRUE(Contains(ended, "first")) << ended;
  EXPECT_TRUE(ended.out.ends_with("\n1\n")) << ended;
}

// --- Usual failures ------------------------------------------------------------------------------

TEST_F(PassthroughTest, ADeviceThatIsNotBoundIsTheHostsAndStaysSo) {
  const std::string card = Card(kPassedMac);
  const Ended ended = Run({card}, {kGuestImage, "true"});
  EXPECT_EQ(ended.exit_code, 125) << ended;
  EXPECT_TRUE(Contains(ended, "device " + card + " is the host's: its driver is e1000e")) << ended;
  EXPECT_TRUE(Contains(ended, "hint: hull device bind " + card)) << ended;
  EXPECT_EQ(DriverOf(card), "e1000e");
  const Ended gone = Run({"0000:7f:1f.7"}, {kGuestImage, "true"});
  EXPECT_EQ(gone.exit_code, 125) << gone;
  EXPECT_TRUE(Contains(gone, "there is no PCI device 0000:7f:1f.7")) << gone;
  // A disk that another test gave back comes up in its own time, and under a number of its own.
  const std::string disk = Field(Shell(R"sh(
for i in $(seq 100); do
  for disk in /dev/nvme*n1; do [[ -b $disk ]] && { echo disk $disk; exit; }; done
  sleep 0.1
done)sh")
                                     .out,
                                 "disk");
  ASSERT_NE(disk, "") << "the lab has no NVMe disk";
  const Ended node = HullRun({"--device", disk, kGuestImage, "true"});
  EXPECT_EQ(node.exit_code, 125) << node;
  EXPECT_TRUE(Contains(node, disk)) << node;
  EXPECT_TRUE(Contains(node, "hull device bind")) << node;
}

TEST_F(PassthroughTest, ADeviceOfAnotherContainerIsRefusedAndThatContainerNamed) {
  const std::string edu = Edu();
  Bind({edu});
  const Ended ended = Script({edu}, R"sh(
hull create --name second $flags test/passthrough true > /dev/null || exit 1
hull run -d --name first -m 128m $flags test/passthrough sleep 1000 || exit 1
hull start second; echo $?
group=$(basename $(readlink /sys/bus/pci/devices/$device/iommu_group))
hull run --rm --device vfio=/dev/vfio/$group test/passthrough true; echo $?
hull device unbind $device; echo $?
hull stop -t 0 first > /dev/null; hull start -a second; echo $?)sh");
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_TRUE(ended.out.ends_with("\n1\n125\n1\n0\n")) << ended;
  EXPECT_NE(ended.err.find(ended.out.substr(0, 12)), std::string::npos) << ended;
  EXPECT_EQ(Count(ended.err, "in use"), 3U) << ended;
  EXPECT_EQ(DriverOf(edu), "vfio-pci");
}

TEST_F(PassthroughTest, ADeviceThatVanishesEndsItsContainerOrIsMissedAtTheStart) {
  const std::string edu = Edu();
  Bind({edu});
  const Ended ended = Script({edu}, R"sh(
hull create --name before $flags test/passthrough true > /dev/null || exit 1
hull run -d --name while -m 128m $flags test/passthrough sleep 1000 > /dev/null || exit 1
echo 1 > /sys/bus/pci/devices/$device/remove
hull wait while; hull inspect -f '{{.State.Status}} {{.State.Error}}' while
hull start before; echo $?
echo 1 > /sys/bus/pci/rescan; hull device bind --force $device
hull start -a before; echo $?)sh",
                             {.limit = std::chrono::seconds(60)});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_EQ(Line(ended.out, 0), "125") << ended;
  EXPECT_TRUE(Line(ended.out, 1).starts_with("exited ")) << ended;
  EXPECT_NE(Line(ended.out, 1).find(edu + " is wanted back by the host"), std::string::npos)
      << ended;
  EXPECT_TRUE(Contains(ended, "there is no PCI device " + edu)) << ended;
  EXPECT_TRUE(ended.out.ends_with("\n1\n" + edu + "\n0\n")) << ended;
}

TEST_F(PassthroughTest, MemoryThatMayNotBeLockedIsSaidBeforeAnythingStarts) {
  const std::string edu = Edu();
  Bind({edu});
  const Ended ended = Script({edu}, R"sh(
setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock bash -c 'ulimit -l 65536
hull run --rm -m 128m $flags test/passthrough true')sh");
  EXPECT_EQ(ended.exit_code, 125) << ended;
  EXPECT_TRUE(Contains(ended, "memory cannot be pinned")) << ended;
  EXPECT_TRUE(Contains(ended, "may lock 64 MiB")) << ended;
}

// Only where the lab has such a device: scripts/lib/vfio-lab --iommu amd.
TEST_F(PassthroughTest, RegionsTooLargeForTheProcessorAreRefused) {
  const std::string device = Find(kMemoryIds).back();
  if (Find(kMemoryIds).size() != 2) GTEST_SKIP() << "the lab has no such device";
  const Ended bound = Device({"bind", "--force", device});
  EXPECT_EQ(bound.exit_code, 1) << bound;
  EXPECT_TRUE(Contains(bound, "its BARs do not fit")) << bound;
  BindByHand(device);
  const Ended run = Run({device}, {kGuestImage, "true"});
  EXPECT_EQ(run.exit_code, 125) << run;
  EXPECT_TRUE(Contains(run, "its BARs do not fit: they take 512 GiB of the 40 bits of address"))
      << run;
}

}  // namespace
}  // namespace hull::integration
