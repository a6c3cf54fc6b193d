// Devices of the host's in containers, as a user has them: hull device bind, hull run --device,
// hull device unbind. (What hull-vmm does with them by itself: vfio_test.cc.)
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "tests/integration/passthrough_fixture.h"

namespace hull::integration {
namespace {

// Before anything is hull's fault: the lab's kernel and its IOMMU, without a VM.
TEST_F(PassthroughTest, TheHostsOwnVfioMovesMemoryInterruptsAndStopsWhatIsNotMapped) {
  const std::string edu = Edu();
  Bind({edu});
  const Ended ended = RunProgram(
      {std::string(std::getenv("HULL_BUILD")) + "/tests/passthrough-guest", "host", edu});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_EQ(Count(ended.out, " ok"), 6U) << ended;
  EXPECT_EQ(Count(ended.out, "failed"), 0U) << ended;
}

// --- A disk
// ---------------------------------------------------------------------------------------

constexpr char kUseDisk[] = R"sh(set -e
disk=/dev/nvme0n1
[ "$(dd if=$disk bs=4096 count=1 2> /dev/null | head -c 13)" = "from the host" ]
printf 'label: gpt\nsize=24M\nsize=4M\n' | sfdisk -q $disk
for i in $(seq 100); do [ -b ${disk}p1 ] && [ -b ${disk}p2 ] && break; sleep 0.1; done
mkfs.ext4 -q ${disk}p1
mount ${disk}p1 /mnt
fio --name=checked --directory=/mnt --size=2M --rw=randwrite --bs=4k --ioengine=psync --thread \
  --direct=1 --verify=crc32c --verify_fatal=1 --output=/tmp/fio
grep -q 'err= 0' /tmp/fio
head -c 1000000 /dev/urandom > /mnt/random
cd /mnt && sha256sum random checked.0.0 > sums && cat sums
cd / && umount /mnt
echo 'from the guest' > ${disk}p2
irq=$(grep -ls nvme0q1 /sys/kernel/irq/*/actions); cat ${irq%actions}chip_name
[ $(cut -d, -f1 ${irq%actions}per_cpu_count) -gt 64 ]
)sh";

// All that devices reach of their machine's memory.
const std::vector<std::string> kPool = {"--annotation", "hull.dma-pool=16m"};

class DiskTest : public PassthroughTest {
 protected:
  // In a container of `flags`.
  static void UseDisk(const std::vector<std::string>& flags);
};

TEST_F(DiskTest, IsPartitionedFilledAndVerifiedAndThenTheHostsWithItsData) {
  UseDisk({});
}

TEST_F(DiskTest, DoesTheSameThroughAPoolOfItsMachinesMemory) {
  UseDisk(kPool);
}

void DiskTest::UseDisk(const std::vector<std::string>& flags) {
  const std::string disk = Disk("data");
  const std::string node = "for i in $(seq 100); do n=$(ls -d /sys/bus/pci/devices/" + disk +
                           "/nvme/nvme*/nvme*n1 2> /dev/null | head -1); n=/dev/${n##*/}; "
                           "[ -b $n ] && break; sleep 0.1; done; ";
  Says(node +
       "dd if=/dev/zero of=$n bs=1M count=1 oflag=direct status=none; "
       "echo 'from the host' | dd of=$n conv=fsync status=none");
  Bind({disk});
  std::vector<std::string> words = flags;
  words.insert(words.end(), {"--cap-add", "SYS_ADMIN", "-m", "128m", kToolsImage, "sh", "-c"});
  words.emplace_back(kUseDisk);
  const Ended ended = Run({disk}, words);
  ASSERT_EQ(ended.exit_code, 0) << ended;
  const std::string sums = ended.out.substr(0, ended.out.rfind('\n', ended.out.size() - 2) + 1);
  EXPECT_NE(ended.out.substr(sums.size()).find("MSI"), std::string::npos) << ended;
  ASSERT_EQ(Device({"unbind", disk}).exit_code, 0);
  EXPECT_EQ(DriverOf(disk), "nvme");
  // The kernel looks for partitions on its own time.
  const std::string seen = Says(node + R"(
for i in $(seq 100); do [ -b ${n}p1 ] && [ -b ${n}p2 ] && break; sleep 0.1; done
mkdir -p /tmp/hull-passthrough; mount -o ro ${n}p1 /tmp/hull-passthrough
cd /tmp/hull-passthrough; sha256sum -c --quiet sums; cat sums; cd /; umount /tmp/hull-passthrough
head -n 1 ${n}p2)");
  EXPECT_EQ(seen, sums + "from the guest");
  EXPECT_EQ(Count(sums, "\n"), 2U) << seen;
}

// --- edu: memory and interrupts ------------------------------------------------------------------

TEST_F(PassthroughTest, EduInterruptsAndMovesMemoryForAContainer) {
  const std::string edu = Edu();
  Bind({edu});
  const Ended ended = Run({edu}, {"--privileged", "-m", "128m", kGuestImage, "passthrough-guest",
                                  "edu", "0000:00:01.0"});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  for (const char* const part :
       {"edu identity", "edu intx", "edu msi", "edu intx again", "edu dma", "edu end"}) {
    EXPECT_TRUE(Contains(ended, std::string("RESULT ") + part + " ok")) << part << ended;
  }
}

// Addresses where this guest has nothing: behind its memory; behind 4 GiB; and its root, which is
// the host's file, mapped for reading.
constexpr char kWrittenBeyond[] = "30000000";
constexpr char kFarBeyond[] = "9876543000";
constexpr char kRoot[] = "40000000";

TEST_F(PassthroughTest, WhatADeviceDoesBeyondItsGuestIsAFaultOfTheIommuAndHarmsNobody) {
  const std::string edu = Edu();
  Bind({edu});
  const std::string root = Says("sha256sum < $HULL_BUILD/lib/hull/guest.erofs");
  // Linux prints ten lines of its IOMMU's faults in five seconds; those before do not count.
  if (HasIntelIommu()) ::sleep(5);
  ClearKernelLog();
  const Ended ended = Script({edu}, std::string(R"sh(
hull run -d --name beside -m 64m sample/busybox sh -c 'head -c 8000000 /dev/urandom > /dev/shm/data
cd /dev/shm; sha256sum data > sums; echo there; while [ ! -e stop ]; do sleep 0.2; done
sha256sum -c sums' > /dev/null
wait_log beside there
hull run --name driver --privileged -m 128m $flags test/passthrough sh -c '
passthrough-guest edu 0000:00:01.0 )sh") +
                                        kWrittenBeyond + " " + kFarBeyond + " " + kRoot + R"sh(
sha256sum /bin/busybox | cut -c1-8; echo lives'
echo "ended $?"
echo "refused $(hull inspect --format '{{range .Hull.Devices}}{{.IommuFaults}}{{end}}' driver)"
echo "events $(hull events --since 1h --until 0s --filter container=driver --filter event=iommu-fault | grep -c "device=$device")"
hull exec beside touch /dev/shm/stop; hull wait beside; hull logs beside)sh");
  for (const char* const part : {"edu dma", "edu beyond 30000000", "edu beyond 9876543000",
                                 "edu beyond 40000000", "edu dma again", "edu end"}) {
    EXPECT_TRUE(Contains(ended, std::string("RESULT ") + part + " ok")) << part << ended;
  }
  EXPECT_TRUE(Contains(ended, "\nlives\nended 0\n")) << ended;
  EXPECT_TRUE(Contains(ended, "\n0\nthere\ndata: OK\n")) << ended;
  EXPECT_EQ(Says("sha256sum < $HULL_BUILD/lib/hull/guest.erofs"), root);
  // QEMU's emulation of AMD's IOMMU reports nothing.
  if (!HasIntelIommu()) {
    EXPECT_TRUE(Contains(ended, "\nrefused 0\nevents 0\n")) << ended;
    return;
  }
  std::string log;
  const std::string written =
      "[DMA Write NO_PASID] Request device [" + edu.substr(5) + "] fault addr 0x" + kWrittenBeyond;
  for (int i = 0; i < 50 && Count(log = KernelLog(), written) == 0; ++i) ::usleep(100'000);
  EXPECT_EQ(Count(log, written), 1U) << log;
  const size_t told = Count(log, "Request device [" + edu.substr(5) + "]");
  EXPECT_EQ(Count(log, "Request device ["), told) << log;
  // What the kernel said until the container had ended.
  const size_t at = ended.out.find("\nrefused ");
  ASSERT_NE(at, std::string::npos) << ended;
  const uint64_t refused = std::strtoull(ended.out.c_str() + at + 9, nullptr, 10);
  EXPECT_TRUE(refused >= 1 && refused <= told) << refused << " of " << told << ended;
  EXPECT_FALSE(Contains(ended, "\nevents 0\n")) << ended;
}

// What is not the pool's is as in a machine without devices.
TEST_F(PassthroughTest, WithAPoolMemoryIsTakenAndGivenBackAsWithoutADevice) {
  const std::string edu = Edu();
  Bind({edu});
  const Ended ended = Script({edu}, R"sh(
hull run -d --name pool -m 256m --shm-size 200m --annotation hull.dma-pool=16m $flags sample/busybox \
  sh -c 'until [ -e /go ]; do sleep 0.1; done; head -c 150000000 /dev/zero > /dev/shm/much
         echo taken; until [ ! -e /go ]; do sleep 0.1; done; rm /dev/shm/much; sleep 1000' > /dev/null
vmm=$(hull inspect -f '{{.Hull.VmmPid}}' pool)
resident() { awk '/^VmRSS/ {print $2}' /proc/$vmm/status; }
hull inspect -f '{{.Hull.MemoryPinnedBytes}} {{.Hull.FreePageReporting}}' pool
awk '/^VmLck/ {print $2}' /proc/$vmm/status
before=$(resident)
hull exec pool touch /go; wait_log pool taken
taken=$(resident)
hull exec pool rm /go
for i in $(seq 100); do after=$(resident); ((after < taken - 120000)) && break; sleep 0.2; done
echo $((taken - before > 140000)) $((taken - after > 120000))
echo "resident: $before $taken $after" >&2)sh",
                             {.limit = std::chrono::seconds(180)});
  EXPECT_EQ(ended.out, "16777216 true\n16384\n1 1\n") << ended;
}

// --- Network cards -------------------------------------------------------------------------------

constexpr char kCable[] = R"sh(set -e
staying=$(basename $(ls -d /sys/bus/pci/devices/$staying_device/net/*))
mkdir -p /tmp/hull-passthrough; cd /tmp/hull-passthrough
head -c 500000 /dev/urandom > down
ip netns add cable; trap 'kill $server; ip netns del cable' EXIT
ip link set $staying netns cable
inside() { ip netns exec cable "$@"; }
inside ip addr add 10.7.0.2/24 dev $staying; inside ip link set $staying up
inside busybox httpd -f -p 10.7.0.2:80 -h . & server=$!
hull run -d --name cable -m 128m --cap-add NET_ADMIN $flags $more sample/disk-tools sh -c '
set -e
name=$(ls -d /sys/class/net/*/device); name=${name%/device}; name=${name##*/}
echo $name $(cat /sys/class/net/$name/address)
ethtool -i $name | grep ^driver
ip addr add 10.7.0.1/24 dev $name; ip link set $name up
for i in $(seq 100); do [ "$(cat /sys/class/net/$name/carrier)" = 1 ] && break; sleep 0.1; done
for i in $(seq 20); do ping -c 1 -W 2 10.7.0.2 > /dev/null && break; done
ping -q -c 3 -i 0.2 10.7.0.2 | grep received
mkdir /tmp/up; head -c 400000 /dev/urandom > /tmp/up/up; sha256sum < /tmp/up/up
wget -q -O /tmp/down http://10.7.0.2/down; sha256sum < /tmp/down; echo got everything
exec busybox httpd -f -p 10.7.0.1:80 -h /tmp/up' > /dev/null
wait_log cable 'got everything'
hull logs cable | grep -v everything
sha256sum < down; inside busybox wget -q -O - http://10.7.0.1/up | sha256sum
)sh";

class CardTest : public PassthroughTest {
 protected:
  // In a container of the words `flags`.
  static void UseCard(const std::string& flags);
};

TEST_F(CardTest, CarriesTrafficToAnotherNamespaceBothWays) {
  UseCard("");
}

TEST_F(CardTest, DoesTheSameThroughAPoolOfItsMachinesMemory) {
  UseCard(kPool[0] + " " + kPool[1]);
}

void CardTest::UseCard(const std::string& flags) {
  const std::string card = Card(kPassedMac);
  const std::string staying = Card(kStayingMac);
  Bind({card});
  const Ended ended = Script({card}, kCable,
                             {.limit = std::chrono::seconds(90),
                              .environment = {"staying_device=" + staying, "more=" + flags}});
  ASSERT_EQ(ended.exit_code, 0) << ended;
  std::vector<std::string> lines;
  for (size_t at = 0; at < ended.out.size();) {
    const size_t end = ended.out.find('\n', at);
    lines.push_back(ended.out.substr(at, end - at));
    at = end + 1;
  }
  ASSERT_EQ(lines.size(), 7U) << ended;
  EXPECT_EQ(lines[0], std::string("eth0 ") + kPassedMac);
  EXPECT_EQ(lines[1], "driver: e1000e");
  EXPECT_NE(lines[2].find("3 packets transmitted, 3 received"), std::string::npos) << ended;
  EXPECT_EQ(lines[4], lines[5]) << "what the container got";
  EXPECT_EQ(lines[3], lines[6]) << "what the host got";
  Shell("hull rm -f cable");
  EXPECT_EQ(Device({"unbind", card}).exit_code, 0);
  EXPECT_EQ(DriverOf(card), "e1000e");
  EXPECT_EQ(Card(kPassedMac), card);
}

// --- SR-IOV --------------------------------------------------------------------------------------

// NVMe 1.4, 5.22 and 5.12: Virtualization Management, Namespace Attachment.
constexpr uint8_t kNamespaceAttachment = 0x15;
constexpr uint8_t kVirtualizationManagement = 0x1c;
enum Action : uint32_t { kPrimaryFlexible = 1, kAssign = 8, kOnline = 9 };
enum Resource : uint32_t { kQueues = 0, kInterrupts = 1 };

class NvmeController {
 public:
  explicit NvmeController(const std::string& address)
      : fd_(::open(
            Says("ls -d /sys/bus/pci/devices/" + address + "/nvme/nvme* | sed 's|.*/|/dev/|'")
                .c_str(),
            O_RDWR | O_CLOEXEC)) {}
  NvmeController(const NvmeController&) = delete;
  NvmeController& operator=(const NvmeController&) = delete;
  ~NvmeController() { ::close(fd_); }

  void Manage(Action action, Resource resource, uint32_t controller, uint32_t number) const {
    nvme_admin_cmd command = {};
    command.opcode = kVirtualizationManagement;
    command.cdw10 = action | resource << 8U | controller << 16U;
    command.cdw11 = number;
    EXPECT_EQ(::ioctl(fd_, NVME_IOCTL_ADMIN_CMD, &command), 0)
        << action << " " << resource << " " << controller;
  }
  void Attach(uint32_t name_space, uint16_t controller) const {
    alignas(4096) std::array<uint16_t, 2048> list = {1, controller};
    nvme_admin_cmd command = {};
    command.opcode = kNamespaceAttachment;
    command.nsid = name_space;
    command.addr = reinterpret_cast<uintptr_t>(list.data());
    command.data_len = sizeof(list);
    EXPECT_EQ(::ioctl(fd_, NVME_IOCTL_ADMIN_CMD, &command), 0) << name_space << " " << controller;
  }
  void Reset() const { EXPECT_EQ(::ioctl(fd_, NVME_IOCTL_RESET), 0); }

 private:
  int fd_;
};

// Two virtual functions, each with queues, an interrupt and a namespace of its own.
std::vector<std::string> MakeVirtualDisks(const std::string& disk) {
  const NvmeController controller(disk);
  controller.Manage(kPrimaryFlexible, kInterrupts, 0, 0);
  controller.Manage(kPrimaryFlexible, kQueues, 0, 0);
  controller.Reset();
  const Ended made = RunProgram({"hull", "device", "vf", "create", "2", disk});
  EXPECT_EQ(made.exit_code, 0) << made;
  for (uint16_t number : {uint16_t{1}, uint16_t{2}}) {
    controller.Manage(kAssign, kInterrupts, number, 2);
    controller.Manage(kAssign, kQueues, number, 3);
    controller.Manage(kOnline, kQueues, number, 0);
    controller.Attach(number, number);
  }
  const size_t end = made.out.find('\n');
  return {made.out.substr(0, end), made.out.substr(end + 1, made.out.rfind('\n') - end - 1)};
}

TEST_F(PassthroughTest, VirtualFunctionsServeTwoVirtualMachinesAtOnce) {
  const std::string disk = Disk("virtual");
  const std::vector<std::string> functions = MakeVirtualDisks(disk);
  Bind(functions);
  const Ended ended = Script(functions, R"sh(
use='n=$(ls -d /sys/class/nvme/nvme*/nvme*n? | head -1); n=/dev/${n##*/}
head -c 800000 /dev/urandom > /tmp/data; dd if=/tmp/data of=$n bs=100000 2> /dev/null
sync; echo written; until [ -e /tmp/go ]; do sleep 0.1; done
blockdev --flushbufs $n; dd if=$n bs=100000 count=8 2> /dev/null | sha256sum
sha256sum < /tmp/data; ls /dev | grep -c "nvme[0-9]*n"'
for i in 1 2; do
  f=first; [ $i = 1 ] || f=second
  hull run -d --name vf$i -m 128m --device pci=${!f} sample/disk-tools sh -c "$use" > /dev/null || exit 1
done
wait_log vf1 written; wait_log vf2 written
hull ps -q | wc -l
for i in 1 2; do hull exec vf$i touch /tmp/go; hull wait vf$i; hull logs vf$i | grep -v written; done)sh",
                             {.limit = std::chrono::seconds(90),
                              .environment = {"first=" + functions[0], "second=" + functions[1]}});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  std::istringstream words(ended.out);
  std::string running;
  words >> running;
  EXPECT_EQ(running, "2") << ended;
  std::vector<std::string> sums;
  for (int i = 0; i < 2; ++i) {
    std::string code;
    std::string read;
    std::string dash;
    std::string written;
    std::string disks;
    words >> code >> read >> dash >> written >> dash >> disks;
    EXPECT_EQ(code, "0") << ended;
    EXPECT_EQ(read, written) << ended;
    EXPECT_EQ(disks, "1") << ended;
    sums.push_back(read);
  }
  EXPECT_NE(sums[0], sums[1]) << ended;
}

// --- Displays and large regions ------------------------------------------------------------------

TEST_F(PassthroughTest, GpusAreThoseThatAreBoundAndTakeTheDriverOfTheImage) {
  const std::vector<std::string> displays = Find(kVgaIds);
  ASSERT_EQ(displays.size(), 2U);
  Bind(displays);
  const auto with = [](const std::string& gpus) {
    return HullRun({"--gpus", gpus, "-m", "128m", kGuestImage, "passthrough-guest", "show"});
  };
  const std::string region = " 0:16384K 2:4K\n";
  const Ended all = with("all");
  EXPECT_EQ(all.exit_code, 0) << all;
  EXPECT_EQ(Count(all.out, " 0x1234 0x1111 0x03"), 2U) << all;
  EXPECT_EQ(Count(all.out, region), 2U) << all;
  // The VGA one is of class 0x0300, the other 0x0380.
  const std::string vga = Says("grep -l 0x030000 /sys/bus/pci/devices/*/class | cut -d/ -f6");
  // A vendor's way: the image brings the driver, which the user lets into the guest's kernel.
  const Ended driven = HullRun(
      {"--gpus", "\"device=" + vga + "\"", "--annotation", "hull.modules=bochs", "sample/gpu"});
  EXPECT_EQ(driven.exit_code, 0) << driven;
  EXPECT_TRUE(Contains(driven, "driver: bochs-drm")) << driven;
  EXPECT_TRUE(driven.out.ends_with("ok\n")) << driven;
  const Ended many = with("3");
  EXPECT_EQ(many.exit_code, 125) << many;
}

TEST_F(PassthroughTest, FourDevicesWithRegionsUpToSixtyFourGibibytesInOneMachine) {
  std::vector<std::string> devices = Find(kMemoryIds);
  ASSERT_EQ(devices.size(), 3U);
  devices.push_back(Edu());
  Bind(devices);
  const Ended ended = Script(devices, R"sh(
hull run --rm --privileged -m 128m $flags test/passthrough sh -c '
for i in 1 2 3; do passthrough-guest region 0000:00:0$i.0 2 write ${i}234567890; done
passthrough-guest edu 0000:00:04.0; passthrough-guest show')sh");
  EXPECT_EQ(ended.exit_code, 0) << ended;
  for (const char* const part :
       {"region 1 MiB", "region 4096 MiB", "region 65536 MiB", "edu dma"}) {
    EXPECT_TRUE(Contains(ended, std::string("RESULT ") + part + " ok")) << part << ended;
  }
  EXPECT_EQ(Count(ended.out, "failed"), 0U) << ended;
  // It was the devices' own memory: the host finds it there.
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_EQ(Device({"unbind", devices[i]}).exit_code, 0);
    const Ended found =
        RunProgram({std::string(std::getenv("HULL_BUILD")) + "/tests/passthrough-guest", "region",
                    devices[i], "2", "check", std::to_string(i + 1) + "234567890"});
    EXPECT_EQ(found.exit_code, 0) << devices[i] << found;
  }
}

}  // namespace
}  // namespace hull::integration
