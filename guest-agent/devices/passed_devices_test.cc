#include "guest-agent/devices/passed_devices.h"

#include <fcntl.h>

#include "guest-agent/devices/fake_tree_fixture.h"
#include "vmm/base/file.h"

namespace hull::agent {
namespace {

using std::chrono::milliseconds;

constexpr char kSlot[] = "0000:00:01.0";

class PassedDevicesTest : public FakeTree {
 protected:
  void SetUp() override { Write("/kmsg", ""); }

  std::unique_ptr<PassedDevices> Devices(std::vector<std::string> addresses) {
    return std::make_unique<PassedDevices>(
        io_, PassedDevices::Places{.sysfs = root_ + "/sys", .kernel_log = root_ + "/kmsg"},
        std::move(addresses));
  }
  // The controller, alone.
  std::string AddNvme(const std::string& state) const {
    const std::string path = AddPci(kSlot, "nvme") + "/nvme/nvme0";
    AddNode(path, "nvme", "nvme0", 239, 0);
    Write("/sys" + path + "/state", state + "\n");
    return path;
  }
  // What Await answers within `limit`.
  std::string Await(PassedDevices& devices, milliseconds limit) {
    std::string answer = "none";
    devices.Await(limit,
                  [&](Status status) { answer = status ? "ready" : status.error().ToString(); });
    EXPECT_EQ(answer, "none") << "never from within the call";
    io_.restart();
    io_.run_for(milliseconds(1000));
    return answer;
  }

  boost::asio::io_context io_{1};
};

TEST_F(PassedDevicesTest, DeviceWithoutADriverIsReadyAtOnce) {
  AddPci(kSlot, "");
  const auto devices = Devices({kSlot});
  EXPECT_EQ(Await(*devices, milliseconds(500)), "ready");
  ASSERT_EQ(devices->Reports().size(), 1u);
  EXPECT_EQ(devices->Reports()[0].driver(), "");
}

TEST_F(PassedDevicesTest, ReportsAreInTheOrderOfTheRequest) {
  const std::string nic = AddPci("0000:00:02.0", "igb");
  AddDevice(nic + "/net/eth0", "net", "INTERFACE=eth0\n");
  AddNvme("live");
  const auto devices = Devices({"0000:00:02.0", kSlot});
  ASSERT_EQ(Await(*devices, milliseconds(500)), "ready");
  const auto reports = devices->Reports();
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[0].driver(), "igb");
  EXPECT_EQ(reports[0].interfaces(0), "eth0");
  EXPECT_EQ(reports[1].nodes(0), "/dev/nvme0");
}

TEST_F(PassedDevicesTest, DeviceThatIsNotThereIsAnErrorAtOnce) {
  AddPci("0000:00:00.0", "");
  const auto devices = Devices({kSlot});
  EXPECT_EQ(Await(*devices, milliseconds(500)),
            "device 0000:00:01.0 is not on the guest's PCI bus (0000:00:00.0)");
}

TEST_F(PassedDevicesTest, ControllerThatIsResetIsWaitedForUntilItIsAnnounced) {
  const std::string path = AddNvme("resetting");
  const auto devices = Devices({kSlot});
  std::string answer;
  devices->Await(milliseconds(5000),
                 [&](Status status) { answer = status ? "ready" : status.error().ToString(); });
  io_.run_for(milliseconds(200));
  EXPECT_EQ(answer, "");
  Write("/sys" + path + "/state", "live\n");
  io_.restart();
  io_.run_for(milliseconds(200));
  EXPECT_EQ(answer, "") << "nobody polls";
  devices->Changed("/devices/virtual/net/veth0");
  io_.restart();
  io_.run_for(milliseconds(200));
  EXPECT_EQ(answer, "") << "another's announcement";
  devices->Changed(path);
  io_.restart();
  io_.run_for(milliseconds(200));
  EXPECT_EQ(answer, "ready");
}

TEST_F(PassedDevicesTest, LostAnnouncementsCountAsOne) {
  const std::string path = AddNvme("new");
  const auto devices = Devices({kSlot});
  std::string answer;
  devices->Await(milliseconds(5000),
                 [&](Status status) { answer = status ? "ready" : status.error().ToString(); });
  io_.run_for(milliseconds(100));
  Write("/sys" + path + "/state", "live\n");
  devices->Changed({});
  io_.restart();
  io_.run_for(milliseconds(200));
  EXPECT_EQ(answer, "ready");
}

TEST_F(PassedDevicesTest, ControllerThatStaysInResetIsNamedWhenTimeIsUp) {
  AddNvme("resetting");
  Write("/kmsg", "4,1,2,-;nvme nvme0: I/O tag 8 timeout, reset controller\n");
  const auto devices = Devices({kSlot});
  EXPECT_EQ(Await(*devices, milliseconds(100)),
            "a passed-through device is not ready: device 0000:00:01.0: NVMe controller nvme0 is "
            "resetting (the guest's kernel: nvme nvme0: I/O tag 8 timeout, reset controller)");
}

TEST_F(PassedDevicesTest, DeadControllerIsAnErrorInTheKernelsWords) {
  AddNvme("dead");
  Write("/kmsg", "3,1,2,-;nvme nvme0: Device not ready; aborting reset, CSTS=0x1\n");
  const auto devices = Devices({kSlot});
  EXPECT_EQ(
      Await(*devices, milliseconds(500)),
      "device 0000:00:01.0: its NVMe controller nvme0 is dead (the guest's kernel: nvme nvme0: "
      "Device not ready; aborting reset, CSTS=0x1)");
}

TEST_F(PassedDevicesTest, DriverThatGaveUpIsAnErrorInTheKernelsWords) {
  AddPci(kSlot, "");
  const auto devices = Devices({kSlot});
  Write("/kmsg", "3,1,2,-;nvme 0000:00:02.0: probe with driver nvme failed with error -12\n");
  EXPECT_EQ(Await(*devices, milliseconds(500)), "ready") << "another's";
  Write("/kmsg", "3,1,2,-;nvme 0000:00:01.0: probe with driver nvme failed with error -12\n");
  EXPECT_EQ(
      Await(*devices, milliseconds(500)),
      "device 0000:00:01.0: the guest's driver gave up (the guest's kernel: nvme 0000:00:01.0: "
      "probe with driver nvme failed with error -12)");
}

TEST_F(PassedDevicesTest, WhatModulesBroughtIsFoundByComparison) {
  Write("/proc/devices", "Character devices:\n  1 mem\n\nBlock devices:\n  7 loop\n");
  AddNode("/devices/virtual/misc/old", "misc", "old", 10, 1);
  Link("/sys/dev/char/10:1", "../../devices/virtual/misc/old");
  const RegisteredNumbers before = RegisteredNumbers::Read(root_ + "/sys", root_ + "/proc");
  Write("/proc/devices",
        "Character devices:\n  1 mem\n195 nvidia\n\nBlock devices:\n  7 loop\n195 x\n");
  AddNode("/devices/virtual/kfd/kfd", "kfd", "kfd", 239, 0);
  Link("/sys/dev/char/239:0", "../../devices/virtual/kfd/kfd");
  Link("/sys/dev/block/259:9", "../../devices/pci0000:00/0000:00:09.0/nvme9n1");
  Link("/sys/dev/char/10:2", "/etc/passwd");
  const Brought brought =
      Compare(before, RegisteredNumbers::Read(root_ + "/sys", root_ + "/proc"), root_ + "/sys");
  EXPECT_EQ(brought.kinds, (std::set<DeviceKind>{{false, 195}, {true, 195}}));
  EXPECT_EQ(brought.paths, std::set<std::string>{"/devices/virtual/kfd/kfd"}) << "of no bus";
  EXPECT_TRUE(Compare(before, before, root_ + "/sys").empty());
}

TEST(DeviceKindsTest, TextsThatAreNone) {
  for (const char* text :
       {"", "\n\n", "Character devices:\n", "x 1\n", " -1 x\n", "99999999999 x\n"}) {
    EXPECT_TRUE(ParseDeviceKinds(text).empty()) << text;
  }
}

TEST_F(PassedDevicesTest, ItMayGoWhileItWaits) {
  AddNvme("resetting");
  auto devices = Devices({kSlot});
  devices->Await(milliseconds(50), [](const Status&) { ADD_FAILURE() << "it has gone"; });
  io_.run_for(milliseconds(10));
  devices->Changed({});
  devices.reset();
  io_.restart();
  io_.run_for(milliseconds(200));
}

TEST_F(PassedDevicesTest, WhoeverIsToldMayLetItGo) {
  AddPci(kSlot, "");
  auto devices = Devices({kSlot});
  bool told = false;
  devices->Await(milliseconds(50), [&](const Status&) {
    told = true;
    devices.reset();
  });
  io_.run_for(milliseconds(200));
  EXPECT_TRUE(told);
}

}  // namespace
}  // namespace hull::agent
