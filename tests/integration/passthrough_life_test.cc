// Devices over the life of their containers, as a user has them: what CDI's files bring, who has a
// device, one that is gone when it is needed, and what is left after stops, kills and starts.
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

TEST_F(PassthroughTest, AContainerHasItsDeviceAgainAfterStopRestartKillAndReboot) {
  const std::string edu = Edu();
  Bind({edu});
  const Ended ended = Script({edu}, R"sh(
try() { hull exec box passthrough-guest show | grep -c 11e8; }
hull run -d --name box -m 128m $flags test/passthrough sleep 1000 > /dev/null; try
hull stop -t 0 box > /dev/null; hull start box > /dev/null; try
kill -KILL $(pgrep -x hull-vmm); hull wait box > /dev/null; hull restart -t 0 box > /dev/null; try
kill -KILL $(pgrep -x hull-supervise) $(pgrep -x hull-vmm)
while pgrep -x hull-vmm || pgrep -x hull-supervise; do sleep 0.1; done > /dev/null
rm -rf /run/hull /run/hull-devices
hull ps -a --format '{{.State}}'; hull start box > /dev/null; try)sh",
                             {.limit = std::chrono::seconds(90)});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_EQ(ended.out, "1\n1\n1\nexited\n1\n") << ended;
}

// Start and kill at every kind of moment: in order, the machine of a running container, its
// supervisor, hull itself; and the machine at any moment of its start.
constexpr char kFifty[] = R"sh(
shopt -s nullglob
used_kib() { awk '/^(MemFree|Buffers|Cached|SReclaimable)/ {sum -= $2} END {print sum}' /proc/meminfo; }
quiet() { "$@" > /dev/null 2>&1; }
# Waits until the sandbox has said who its process `vmm` or `supervisor` is, and kills that.
kill_its() {
  local pattern="\"$1\":\{\"pid\":([1-9][0-9]*)" try file
  for try in $(seq 400); do
    for file in /run/hull/*/state.json; do
      if [[ $(< $file) =~ $pattern ]]; then sleep $2; quiet kill -KILL ${BASH_REMATCH[1]}; return; fi
    done
    sleep 0.05
  done
  echo "no $1 in round $round"
}
for round in $(seq 50); do
  quiet hull run -d --name box$round -m 16m $flags test/passthrough sleep 1000 & hull=$!
  case $((round % 20)) in
    0) wait $hull; quiet hull rm -f box$round ;;
    10) wait $hull; kill_its vmm 0 ;;
    1|2) kill_its supervisor 0.$((RANDOM % 3)) ;;
    3|4) sleep 0.$((RANDOM % 6)); quiet kill -KILL $hull ;;
    *) kill_its vmm 0.$((RANDOM % 3)) ;;
  esac
  quiet wait $hull
  # A supervisor that outlives hull ends the start first.
  for try in $(seq 100); do
    quiet hull rm -f box$round
    [ "$(echo /run/hull/*/)$(echo /var/lib/hull/containers/*)" ] || break
    sleep 0.1
  done
  [ $round != 5 ] || before=$(used_kib)
done
grown=$(($(used_kib) - before))
echo "grown by $grown KiB"
((grown < 16384)) || exit 1
hull run --rm --privileged -m 128m $flags test/passthrough passthrough-guest edu 0000:00:01.0
)sh";

TEST_F(PassthroughTest, FiftyStartsAndKillsLeaveNothingPinnedBoundOrRunning) {
  const std::string edu = Edu();
  Bind({edu});
  const Ended ended = Script({edu}, kFifty, {.limit = std::chrono::seconds(500)});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_TRUE(Contains(ended, "RESULT edu dma ok\nRESULT edu end ok\n")) << ended;
  EXPECT_EQ(Says("cat /sys/bus/pci/devices/" + edu + "/driver_override"), "vfio-pci");
  EXPECT_TRUE(ended.out.starts_with("grown by ")) << ended;
}

}  // namespace
}  // namespace hull::integration
