// Everything that can go wrong with a sandbox says what it was.
#include <filesystem>

#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

class FailureTest : public HullTest {};

bool Says(const Ended& ended, const std::string& text) {
  return ended.err.find(text) != std::string::npos;
}

TEST_F(FailureTest, AMissingKernelIsNamed) {
  const Ended ended =
      HullRun({"sample/busybox", "true"}, {.environment = {"HULL_KERNEL=/no/kernel"}});
  EXPECT_EQ(ended.exit_code, 125) << ended;
  EXPECT_TRUE(Says(ended, "/no/kernel")) << ended;
}

TEST_F(FailureTest, AKernelThatIsNoneIsNamed) {
  const Ended ended =
      HullRun({"sample/busybox", "true"}, {.environment = {"HULL_KERNEL=/bin/true"}});
  EXPECT_EQ(ended.exit_code, 125) << ended;
  EXPECT_TRUE(Says(ended, "kernel")) << ended;
}

TEST_F(FailureTest, AMissingVmmIsNamed) {
  const Ended ended =
      HullRun({"sample/busybox", "true"}, {.environment = {"HULL_VMM=/no/hull-vmm"}});
  EXPECT_EQ(ended.exit_code, 125) << ended;
  EXPECT_TRUE(Says(ended, "/no/hull-vmm")) << ended;
}

TEST_F(FailureTest, AGuestPanicComesWithItsLastWords) {
  const Ended made = Shell("head -c 4194304 /dev/zero > /tmp/zero.img");
  ASSERT_EQ(made.exit_code, 0);
  const Ended ended =
      HullRun({"sample/busybox", "true"}, {.environment = {"HULL_GUEST_ROOT=/tmp/zero.img"}});
  EXPECT_EQ(ended.exit_code, 125) << ended;
  EXPECT_TRUE(Says(ended, "kernel panicked")) << ended;
  EXPECT_TRUE(Says(ended, "Unable to mount root fs")) << ended;
}

TEST_F(FailureTest, AKilledMachineIsSaid) {
  const Ended ended = Shell(R"(
hull run --rm sample/busybox sh -c 'echo ready; sleep 1000' > /tmp/out 2> /tmp/err &
for i in $(seq 600); do grep -q ready /tmp/out && break; sleep 0.1; done
kill -KILL $(pgrep -x hull-vmm)
wait $!
echo code $?
cat /tmp/err >&2
)");
  EXPECT_NE(ended.out.find("code 125"), std::string::npos) << ended;
  EXPECT_TRUE(Says(ended, "SIGKILL")) << ended;
}

TEST_F(FailureTest, WithoutAnIommuNoDeviceIsPassedThrough) {
  if (!std::filesystem::is_empty("/sys/class/iommu")) GTEST_SKIP() << "this host has an IOMMU";
  const std::filesystem::directory_iterator devices("/sys/bus/pci/devices");
  ASSERT_NE(devices, std::filesystem::directory_iterator()) << "the lab has no PCI device";
  const std::string address = devices->path().filename();
  const Ended ended = HullRun({"--device", "pci=" + address, "sample/busybox", "true"});
  EXPECT_EQ(ended.exit_code, 125) << ended;
  EXPECT_TRUE(Says(ended, address + ": the host has no IOMMU in use")) << ended;
  EXPECT_TRUE(Says(ended, "iommu=pt to the kernel's command line")) << ended;
}

TEST_F(FailureTest, AnImageWithoutTheCommandIsTold) {
  const Ended ended = HullRun({"--entrypoint", "", "sample/busybox"});
  EXPECT_EQ(ended.exit_code, 125) << ended;
  EXPECT_TRUE(Says(ended, "no command specified")) << ended;
}

}  // namespace
}  // namespace hull::integration
