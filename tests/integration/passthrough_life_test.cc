// Devices over the life of their containers, as a user has them: what CDI's files bring, who has a
// device, and one that is gone when it is needed.
#include <string>

#include "tests/integration/passthrough_fixture.h"

namespace hull::integration {
namespace {

constexpr char kUseCdi[] = R"sh(
mkdir -p /var/run/cdi /tmp/hull-passthrough/lib
trap 'rm -f /var/run/cdi/hull-test.json' EXIT
cd /tmp/hull-passthrough
head -c 3000000 /dev/urandom > lib/libx.so.1; ln -sf libx.so.1 lib/libx.so
printf '#!/bin/sh\necho tool\n' > tool; chmod 4755 tool
group=$(basename $(readlink /sys/bus/pci/devices/$device/iommu_group))
cat > /var/run/cdi/hull-test.json << END
{"cdiVersion":"0.7.0","kind":"vendor.com/disk","devices":[{"name":"0","containerEdits":{
"deviceNodes":[{"path":"/dev/vfio/$group"}],"env":["VENDOR=cdi"],"additionalGids":[4321],"mounts":[
{"hostPath":"$PWD/lib","containerPath":"/usr/lib/vendor","options":["ro","nosuid","nodev","rbind"]},
{"hostPath":"$PWD/tool","containerPath":"/usr/bin/tool","options":["ro","bind"]}]}}]}
END
hull run --name cdi --device vendor.com/disk=0 -e VENDOR=user sample/busybox sh -c '
ls /dev/nvme0n1; echo $VENDOR $(id -G); tool; sha256sum < /usr/lib/vendor/libx.so
touch /usr/lib/vendor/x 2> /dev/null || echo read-only; grep -c "/usr/bin/tool.*nosuid" /proc/mounts'
sha256sum < lib/libx.so
ls /var/lib/hull/containers/*/host-files.erofs 2> /dev/null
# Devices and files are looked up again.
echo new > lib/libx.so.1; hull start -a cdi | grep -c $(sha256sum < lib/libx.so | cut -d' ' -f1)
hull rm cdi)sh";

TEST_F(PassthroughTest, CdiBringsItsDeviceItsEnvironmentAndFilesOfTheHost) {
  const std::string disk = Disk("data");
  Bind({disk});
  const Ended ended = Script({disk}, kUseCdi);
  const size_t sums = ended.out.find("tool\n") + 5;
  EXPECT_EQ(ended.out.substr(0, sums), "/dev/nvme0n1\ncdi 0 4321\ntool\n") << ended;
  ASSERT_GT(ended.out.size(), sums + 68) << ended;
  const std::string sum = ended.out.substr(sums, 68);
  EXPECT_EQ(ended.out.substr(sums), sum + "read-only\n1\n" + sum + "1\ncdi\n") << ended;
}

TEST_F(PassthroughTest, WhoHasADeviceIsSaidAndOneThatIsGoneIsNamed) {
  const std::string disk = Disk("data");
  Bind({disk});
  const Ended ended = Script({disk}, R"sh(
hull run -d --name first $flags sample/busybox sleep 1000 > /dev/null
hull inspect --format '{{range .Hull.Devices}}{{.GuestAddress}} {{.GuestDriver}} {{.Nodes}}{{end}} {{.Hull.MemoryPinned}} {{.Hull.FreePageReporting}}' first
hull device ls --filter address=$device --format '{{.State}}: {{.Container}}'
hull run --rm $flags sample/busybox true; echo $?
hull rm -f first > /dev/null
hull create --name second $flags sample/busybox true > /dev/null
hull device unbind $device > /dev/null; hull start -a second; echo $?
hull device bind $device > /dev/null; hull start -a second; echo $?
hull rm second)sh");
  EXPECT_EQ(ended.out,
            "0000:00:01.0 nvme [/dev/ng0n1 /dev/nvme0 /dev/nvme0n1] true false\n"
            "in use: first\n125\n125\n0\nsecond\n")
      << ended;
  EXPECT_TRUE(Contains(ended, "device " + disk + ": it is in use already: process ")) << ended;
  EXPECT_TRUE(Contains(ended, " (hull-vmm), container first (")) << ended;
  EXPECT_TRUE(Contains(ended, "device " + disk +
                                  " is the host's: its driver is nvme\nhint: hull "
                                  "device bind " +
                                  disk))
      << ended;
}

}  // namespace
}  // namespace hull::integration
