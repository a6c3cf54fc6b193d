// Passed-through devices: hull-vmm with devices of the lab's host, and a guest that tries them
// (vfio_guest.cc). The lab has an IOMMU and the devices that scripts/lib/vfio-lab gives it; a test
// of a device that is not there is skipped.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "tests/integration/harness.h"

namespace hull::integration {
namespace {

constexpr const char kNvme[] = "0x1b36 0x0010";
constexpr const char kEdu[] = "0x1234 0x11e8";
constexpr const char kRandom[] = "0x1af4 0x1044";  // behind a port, with AER
constexpr const char kMemory[] = "0x1af4 0x1110";

// Linux, drivers/iommu/intel/dmar.c: dmar_fault (DEFAULT_RATELIMIT_INTERVAL).
constexpr unsigned kFaultLogIntervalSeconds = 5;

constexpr uint64_t kMib = 1ULL << 20U;
constexpr uint64_t kSmallestPool = 2 * kMib;

std::string FirstLine(const std::string& path) {
  std::string line;
  std::getline(std::ifstream(path), line);
  return line;
}

class VfioTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/hull-vfio-test-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
    const Ended made = Shell(
        "cd " + directory_ +
        " && modprobe vfio-pci && modprobe vfio_iommu_type1 && mkdir -p root/proc root/sys root/dev"
        " && cp \"$HULL_BUILD/tests/vfio-guest\" root/init"
        " && mkfs.erofs -E noinline_data root.erofs root > /dev/null 2>&1"
        " && cp \"$HULL_BUILD/lib/hull/vmlinux-pci\" kernel");
    ASSERT_EQ(made.exit_code, 0) << made;
  }
  void TearDown() override {
    for (const std::string& address : bound_) {
      Shell("cd /sys/bus/pci/devices/" + address + "; echo " + address +
            " > driver/unbind; echo > driver_override; echo " + address +
            " > /sys/bus/pci/drivers_probe");
    }
    Shell("rm -rf " + directory_);
  }

  // Addresses of the host's devices with these ids.
  static std::vector<std::string> Find(const std::string& ids) {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator("/sys/bus/pci/devices")) {
      const std::string path = entry.path();
      if (FirstLine(path + "/vendor") + " " + FirstLine(path + "/device") == ids) {
        found.push_back(entry.path().filename());
      }
    }
    std::ranges::sort(found);
    return found;
  }
  // Binds a device to vfio-pci until the end of the test.
  void Bind(const std::string& address) {
    bound_.push_back(address);
    const Ended ended = Shell(
        "cd /sys/bus/pci/devices/" + address +
        " && echo vfio-pci > driver_override && if [[ -e driver ]]; then echo " + address +
        " > driver/unbind; fi; echo " + address + " > /sys/bus/pci/drivers_probe; readlink driver");
    ASSERT_NE(ended.out.find("vfio-pci"), std::string::npos) << ended;
  }

  // What a machine has beside its devices, and what is done with it.
  struct Machine {
    std::string words = {};  // of the kernel's command line
    std::string shell = {};  // while it runs, as $vmm
    uint32_t cpus = 1;
    uint64_t memory_bytes = 128ULL << 20U;
    std::string prefix = {};  // of the command
    uint64_t dma_pool_bytes = 0;
  };

  Ended Run(const std::vector<std::string>& devices) { return Run(devices, Machine{}); }
  Ended Run(const std::vector<std::string>& devices, const Machine& machine) {
    std::string list;
    for (const std::string& device : devices) {
      list += (list.empty() ? "" : ",") + std::string(R"({"id":"d)") + std::to_string(list.size()) +
              R"(","device":")" + device + "\"}";
    }
    std::ofstream(directory_ + "/vm.json")
        << R"({"version":1,"name":"t","cpus":)" << machine.cpus << R"(,"memory_bytes":)"
        << machine.memory_bytes << R"(,"kernel":{"path":"kernel",)"
        << R"("command_line":"quiet console=hvc0 root=/dev/pmem0 rootfstype=erofs rootflags=dax=always )"
        << "ro rootwait=5 init=/init tsc=reliable noreplace-smp " << machine.words << "\"},"
        << R"("pmem":[{"id":"root","path":"root.erofs"}],)"
        << (list.empty() ? "" : R"("vfio":[)" + list + "],")
        << (machine.dma_pool_bytes == 0
                ? ""
                : R"("dma_pool_bytes":)" + std::to_string(machine.dma_pool_bytes) + ",")
        << R"("console":{"log":"console.log"},"control":{"path":"control"}})";
    return Shell("cd " + directory_ + "; rm -f console.log; " + machine.prefix +
                     " hull-vmm --config vm.json --status-fd 3 3> status & vmm=$!\n" +
                     machine.shell + "\nwait $vmm; code=$?; cat console.log status; exit $code",
                 {.limit = std::chrono::seconds(180)});
  }
  static bool Says(const Ended& ended, const std::string& text) {
    return ended.out.find(text) != std::string::npos || ended.err.find(text) != std::string::npos;
  }
  static std::string KernelLog() { return Shell("dmesg").out; }
  // The host's kernel prints a fault in its interrupt, which may come after the VM's end.
  static bool KernelSays(const std::string& text) {
    for (int i = 0; i < 50; ++i) {
      if (KernelLog().find(text) != std::string::npos) return true;
      ::usleep(100'000);
    }
    return false;
  }
  // Linux prints ten lines of its IOMMU's faults in five seconds, and a fault is up to three of
  // them: those of an earlier test must not be counted against those of this one.
  static void ForgetFaults() {
    if (HasIntelIommu()) ::sleep(kFaultLogIntervalSeconds + 1);
    Shell("dmesg --clear");
  }
  static bool HasIntelIommu() { return std::filesystem::exists("/sys/class/iommu/dmar0"); }

  std::string directory_;
  std::vector<std::string> bound_;
};

TEST_F(VfioTest, MachineWithoutDevicesHasNoPciBus) {
  const Ended ended = Run({});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_FALSE(Says(ended, "RESULT device")) << ended;
  EXPECT_TRUE(Says(ended, "RESULT end ok")) << ended;
}

TEST_F(VfioTest, NvmeReadsWritesAndInterruptsAndIsTheHostsAgainAfterwards) {
  const auto disks = Find(kNvme);
  ASSERT_FALSE(disks.empty()) << "the lab has no NVMe disk";
  const std::string before = "hull " + std::to_string(getpid());
  ASSERT_EQ(Shell("disk=$(ls -d /sys/bus/pci/devices/" + disks[0] +
                  "/nvme/nvme*/nvme*n1 | head -1); { echo -n '" + before +
                  "'; head -c 4080 /dev/zero; } | head -c 4096 | dd of=/dev/${disk##*/} "
                  "oflag=direct bs=4096 2> /dev/null; dd if=/dev/zero of=/dev/${disk##*/} bs=4096 "
                  "seek=1 count=64 oflag=direct 2> /dev/null")
                .exit_code,
            0);
  Bind(disks[0]);
  const Ended ended = Run({disks[0]});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_TRUE(Says(ended, "RESULT nvme read ok " + before)) << ended;
  EXPECT_TRUE(Says(ended, "RESULT nvme write ok")) << ended;
  EXPECT_TRUE(Says(ended, "RESULT nvme interrupts 0 ok")) << ended;
  const Ended after = Shell("address=" + disks[0] + R"(
cd /sys/bus/pci/devices/$address; echo $address > driver/unbind; echo > driver_override
echo $address > /sys/bus/pci/drivers_probe
for i in $(seq 100); do ls -d nvme/nvme*/nvme*n1 > /dev/null 2>&1 && break; sleep 0.1; done
disk=$(ls -d nvme/nvme*/nvme*n1 | head -1)
dd if=/dev/${disk##*/} bs=4096 skip=64 count=1 iflag=direct 2> /dev/null | head -c )" +
                            std::to_string(before.size()));
  bound_.clear();
  EXPECT_EQ(after.out, before) << after;
}

TEST_F(VfioTest, EduCalculatesInterruptsAndMovesMemoryBothWays) {
  const auto devices = Find(kEdu);
  ASSERT_FALSE(devices.empty()) << "the lab has no edu";
  Bind(devices[0]);
  const Ended ended = Run({devices[0]});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  for (const char* const part : {"identity", "factorial", "intx", "msi", "intx again", "dma"}) {
    EXPECT_TRUE(Says(ended, std::string("RESULT edu ") + part + " ok")) << part << ended;
  }
}

TEST_F(VfioTest, NvmeWithAPoolWorksAndNothingButThePoolIsPinned) {
  const auto disks = Find(kNvme);
  ASSERT_FALSE(disks.empty()) << "the lab has no NVMe disk";
  Bind(disks[0]);
  for (const uint64_t pool_bytes : {kSmallestPool, 16 * kMib, 256 * kMib}) {
    SCOPED_TRACE(pool_bytes);
    const Ended ended = Run(
        {disks[0]},
        {.words = "linger",
         .shell = "for i in $(seq 300); do grep -q 'RESULT end' console.log && break; sleep 0.1; "
                  "done; grep -E 'VmLck|VmRSS' /proc/$vmm/status; kill $vmm",
         .cpus = 2,
         .memory_bytes = 1024 * kMib,
         .dma_pool_bytes = pool_bytes});
    EXPECT_EQ(ended.exit_code, 20) << ended;
    for (const char* const part : {"read", "write", "interrupts 0", "interrupts 1"}) {
      EXPECT_TRUE(Says(ended, std::string("RESULT nvme ") + part + " ok")) << part << ended;
    }
    std::istringstream out(ended.out.substr(ended.out.find("VmLck:")));
    std::string name;
    std::string unit;
    uint64_t locked_kib = 0;
    uint64_t resident_kib = 0;
    out >> name >> locked_kib >> unit >> name >> resident_kib;
    EXPECT_EQ(locked_kib, pool_bytes / 1024) << ended;
    EXPECT_LT(resident_kib, pool_bytes / 1024 + 128 * 1024) << ended;
  }
}

TEST_F(VfioTest, TransactionsOutsideThePoolAreFaultsOfTheIommu) {
  const auto devices = Find(kEdu);
  ASSERT_FALSE(devices.empty()) << "the lab has no edu";
  Bind(devices[0]);
  ForgetFaults();
  const Ended ended = Run({devices[0]}, {.words = "outside-pool", .dma_pool_bytes = kSmallestPool});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  // The guest's own memory, at that address, is as it was.
  const std::string words = "RESULT edu outside ok ";
  ASSERT_TRUE(Says(ended, words)) << ended;
  std::string address;
  std::istringstream(ended.out.substr(ended.out.find(words) + words.size())) >> address;
  if (!HasIntelIommu()) return;
  const std::string request =
      "NO_PASID] Request device [" + devices[0].substr(5) + "] fault addr " + address + " ";
  for (const char* const kind : {"[DMA Write ", "[DMA Read "}) {
    EXPECT_TRUE(KernelSays(kind + request)) << kind << request << "\n" << KernelLog();
  }
}

TEST_F(VfioTest, PoolThatDoesNotFitBehindTheKernelIsRefused) {
  const auto devices = Find(kEdu);
  ASSERT_FALSE(devices.empty()) << "the lab has no edu";
  Bind(devices[0]);
  const Ended ended = Run({devices[0]}, {.memory_bytes = 48 * kMib, .dma_pool_bytes = 24 * kMib});
  EXPECT_EQ(ended.exit_code, 24) << ended;
  EXPECT_TRUE(Says(ended, "do not fit behind the kernel")) << ended;
}

TEST_F(VfioTest, TransactionsBeyondTheGuestsMemoryAreFaultsOfTheIommu) {
  const auto devices = Find(kEdu);
  ASSERT_FALSE(devices.empty()) << "the lab has no edu";
  Bind(devices[0]);
  ForgetFaults();
  const Ended ended = Run({devices[0]});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_TRUE(Says(ended, "RESULT edu beyond ok")) << ended;
  // Linux tells of Intel's IOMMU in these words; QEMU's emulation of AMD's reports nothing.
  if (!HasIntelIommu()) return;
  const std::string request = "NO_PASID] Request device [" + devices[0].substr(5) + "] fault addr ";
  for (const std::string& line :
       {"[DMA Write " + request + "0xc000000", "[DMA Read " + request + "0xd000000"}) {
    EXPECT_TRUE(KernelSays(line)) << line << "\n" << KernelLog();
  }
  // And nothing else was.
  const std::string log = KernelLog();
  size_t faults = 0;
  for (size_t at = log.find("fault addr"); at != std::string::npos;
       at = log.find("fault addr", at + 1)) {
    ++faults;
  }
  EXPECT_EQ(faults, 2U) << log;
}

TEST_F(VfioTest, InterruptsComeToTheVirtualCpuThatTheyAreFor) {
  std::vector<std::string> devices = Find(kNvme);
  ASSERT_FALSE(devices.empty()) << "the lab has no NVMe disk";
  const auto edu = Find(kEdu);
  ASSERT_FALSE(edu.empty()) << "the lab has no edu";
  devices.push_back(edu[0]);
  for (const std::string& device : devices) Bind(device);
  const Ended ended = Run(devices, {.cpus = 2});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  for (const char* const part : {"nvme interrupts 0", "nvme interrupts 1", "edu intx", "edu msi",
                                 "edu intx again", "edu dma"}) {
    EXPECT_TRUE(Says(ended, std::string("RESULT ") + part + " ok")) << part << ended;
  }
}

TEST_F(VfioTest, PinningIsToldAndCanBeEnded) {
  const auto devices = Find(kEdu);
  ASSERT_FALSE(devices.empty()) << "the lab has no edu";
  Bind(devices[0]);
  // Each takes far longer than a second to pin here.
  const uint64_t memory_bytes = 1ULL << 30U;
  const std::string wait = "until grep -q pinning status; do sleep 0.05; done\n";
  std::ofstream(directory_ + "/ask.py") << R"(import json, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect("control")
lines = connection.makefile("rw")
for number, method in enumerate(sys.argv[1:], 1):
    lines.write(json.dumps({"id": number, "method": method}) + "\n")
    lines.flush()
    print(lines.readline())
)";
  const std::array<std::pair<std::string, std::string>, 3> ways = {
      {{"kill $vmm", "killed by SIGTERM"},
       {"python3 ask.py state kill", "killed by request"},
       {"python3 ask.py stop", "stopped by request before it had started"}}};
  for (const auto& [command, words] : ways) {
    SCOPED_TRACE(command);
    const Ended ended = Run({devices[0]}, {.shell = wait + command, .memory_bytes = memory_bytes});
    EXPECT_EQ(ended.exit_code, 20) << ended;
    EXPECT_TRUE(Says(ended, R"({"event":"pinning","done_bytes":)")) << ended;
    EXPECT_FALSE(Says(ended, R"("event":"started")")) << ended;
    EXPECT_TRUE(Says(ended, words)) << ended;
    if (words == "killed by request") {
      EXPECT_TRUE(Says(ended, R"("state":"starting")")) << ended;
    }
  }
}

TEST_F(VfioTest, MemoryThatCannotBePinnedIsRefusedWithFigures) {
  const auto devices = Find(kEdu);
  ASSERT_FALSE(devices.empty()) << "the lab has no edu";
  Bind(devices[0]);
  const Ended limited =
      Run({devices[0]}, {.prefix = "prlimit --memlock=8388608 setpriv --bounding-set -ipc_lock"});
  EXPECT_EQ(limited.exit_code, 24) << limited;
  EXPECT_TRUE(Says(limited, "and this process may lock 8 MiB (RLIMIT_MEMLOCK)")) << limited;
  EXPECT_TRUE(Says(limited, "ulimit -l")) << limited;
  const Ended large = Run({devices[0]}, {.memory_bytes = 64ULL << 30U});
  EXPECT_EQ(large.exit_code, 24) << large;
  EXPECT_TRUE(Says(large, "are to be pinned for its devices, and the host has ")) << large;
}

TEST_F(VfioTest, LargeRegionsAndSeveralDevicesAtOnce) {
  std::vector<std::string> devices = Find(kMemory);
  ASSERT_FALSE(devices.empty()) << "the lab has no ivshmem";
  const auto edu = Find(kEdu);
  devices.insert(devices.end(), edu.begin(), edu.end());
  for (const std::string& device : devices) Bind(device);
  const Ended ended = Run(devices);
  EXPECT_EQ(ended.exit_code, 0) << ended;
  EXPECT_TRUE(Says(ended, "RESULT ivshmem 1 ok")) << ended;
  EXPECT_TRUE(Says(ended, "RESULT ivshmem 4096 ok")) << ended;
  EXPECT_TRUE(Says(ended, "RESULT ivshmem 65536 ok")) << ended;
  EXPECT_FALSE(Says(ended, "failed")) << ended;
}

TEST_F(VfioTest, DeviceThatIsNotBoundIsRefusedWithWhatToDo) {
  const auto devices = Find(kNvme);
  ASSERT_FALSE(devices.empty()) << "the lab has no NVMe disk";
  const Ended ended = Run({devices[0]});
  EXPECT_EQ(ended.exit_code, 24) << ended;
  EXPECT_TRUE(Says(ended, "vfio[0] (" + devices[0] + ")")) << ended;
  EXPECT_TRUE(Says(ended, "bind the device to vfio-pci")) << ended;
}

TEST_F(VfioTest, DeviceOfAnotherVmIsRefused) {
  const auto devices = Find(kEdu);
  ASSERT_FALSE(devices.empty()) << "the lab has no edu";
  Bind(devices[0]);
  const Ended ended = Run({devices[0]}, {.words = "linger", .shell = R"(
until grep -q 'RESULT end' console.log 2> /dev/null; do sleep 0.2; done
hull-vmm --config vm.json 2>&1; echo "second $?"; kill $vmm)"});
  EXPECT_TRUE(Says(ended, "second 24")) << ended;
  EXPECT_TRUE(Says(ended, "another VM or program has a device of this group")) << ended;
  EXPECT_EQ(ended.exit_code, 20) << ended;
}

TEST_F(VfioTest, DeviceThatTheHostWantsBackEndsTheVm) {
  const auto devices = Find(kEdu);
  ASSERT_FALSE(devices.empty()) << "the lab has no edu";
  Bind(devices[0]);
  const Ended ended =
      Run({devices[0]},
          {.words = "linger",
           .shell = "until grep -q 'RESULT end' console.log 2> /dev/null; do sleep 0.2; done\n"
                    "echo " +
                    devices[0] + " > /sys/bus/pci/drivers/vfio-pci/unbind"});
  EXPECT_EQ(ended.exit_code, 23) << ended;
  EXPECT_TRUE(Says(ended, "is wanted back by the host")) << ended;
}

TEST_F(VfioTest, FatalErrorOfADeviceEndsTheVmWithAMessage) {
  if (!HasIntelIommu())
    GTEST_SKIP() << "QEMU's AMD IOMMU has nothing to do with what is behind ports";
  const auto devices = Find(kRandom);
  ASSERT_FALSE(devices.empty()) << "the lab has no such virtio-rng";
  Bind(devices[0]);
  // A Data Link Protocol Error (PCI Express Base Specification 5.0, 6.2.7), which is fatal.
  const Ended ended = Run(
      {devices[0]},
      {.words = "linger",
       .shell =
           "for i in $(seq 150); do grep -q 'RESULT end' console.log && break; sleep 0.2; done\n"
           "port=$(grep -l lab.monitor /sys/class/virtio-ports/*/name)\n"
           "echo 'pcie_aer_inject_error failing DLP' > /dev/$(basename ${port%/name})\n"
           "for i in $(seq 150); do grep -q ended status && break; sleep 0.2; done; kill $vmm"});
  EXPECT_EQ(ended.exit_code, 23) << ended << KernelLog();
  EXPECT_TRUE(Says(ended, devices[0] + " reported an error that it cannot recover from")) << ended;
  EXPECT_TRUE(KernelSays("AER: ")) << KernelLog();
}

TEST_F(VfioTest, KilledWhileItsDeviceWritesItTouchesNoMemoryGivenBack) {
  const auto devices = Find(kEdu);
  ASSERT_FALSE(devices.empty()) << "the lab has no edu";
  Bind(devices[0]);
  // What was the guest's is somebody else's at once; a transfer takes edu a tenth of a second.
  const Ended ended = Run({devices[0]}, {.words = "dma-for-ever", .shell = R"(
for i in $(seq 300); do grep -q 'RESULT dma ok' console.log && break; sleep 0.1; done
kill -KILL $vmm
python3 -c '
import time
page = bytes([0x5a]) * (1 << 20)
pages = [bytearray(page) for _ in range(256)]
time.sleep(1)
print("changed" if any(one != page for one in pages) else "untouched")')"});
  EXPECT_EQ(ended.exit_code, 137) << ended;
  EXPECT_TRUE(Says(ended, "RESULT dma ok")) << ended;
  EXPECT_TRUE(Says(ended, "untouched")) << ended;
  // And the device can be had again.
  EXPECT_EQ(Run({devices[0]}).exit_code, 0);
}

TEST_F(VfioTest, StartsAndKillsInARowLeaveNothingBehind) {
  const auto devices = Find(kEdu);
  ASSERT_FALSE(devices.empty()) << "the lab has no edu";
  Bind(devices[0]);
  ASSERT_EQ(Run({devices[0]}).exit_code, 0);
  const Ended ended = Shell("cd " + directory_ + R"(
locked() { awk '/^(Mlocked|Unevictable|AnonPages)/ {sum += $2} END {print sum}' /proc/meminfo; }
before=$(locked)
for i in $(seq 50); do
  hull-vmm --config vm.json --status-fd 3 3> status & vmm=$!
  until grep -q started status; do sleep 0.05; done
  kill -KILL $vmm; wait $vmm 2> /dev/null
done
after=$(locked)
echo "grown by $((after - before)) KiB"
((after - before < 8192)) || exit 1)",
                            {.limit = std::chrono::seconds(300)});
  EXPECT_EQ(ended.exit_code, 0) << ended;
  // All of it can be used again.
  EXPECT_EQ(Run({devices[0]}).exit_code, 0);
}

}  // namespace
}  // namespace hull::integration
