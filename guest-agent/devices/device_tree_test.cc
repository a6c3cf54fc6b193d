#include "guest-agent/devices/device_tree.h"

#include "guest-agent/devices/fake_tree_fixture.h"
#include "guest-agent/devices/kernel_lines.h"
#include "guest-agent/devices/uevents.h"

namespace hull::agent {
namespace {

constexpr char kSlot[] = "0000:00:01.0";

class DeviceTreeTest : public FakeTree {
 protected:
  DeviceFindings Find() const {
    const Result<DeviceFindings> found = DeviceTree(root_ + "/sys").Find(kSlot);
    EXPECT_TRUE(found.has_value()) << found.error().ToString();
    return found ? *found : DeviceFindings();
  }
  static std::string Names(const DeviceFindings& findings) {
    std::string text;
    for (const FoundNode& found : findings.nodes) {
      text += (found.node.block ? "b " : "c ") + found.node.name + " " +
              std::to_string(found.node.major) + ":" + std::to_string(found.node.minor) + "\n";
    }
    return text;
  }
};

TEST_F(DeviceTreeTest, NvmeDiskWithPartition) {
  const std::string nvme = AddPci(kSlot, "nvme") + "/nvme/nvme0";
  AddNode(nvme, "nvme", "nvme0", 239, 0);
  Write("/sys" + nvme + "/state", "live\n");
  AddNode(nvme + "/nvme0n1", "block", "nvme0n1", 259, 3);
  AddNode(nvme + "/nvme0n1/nvme0n1p1", "block", "nvme0n1p1", 259, 4);
  AddNode(nvme + "/ng0n1", "nvme-generic", "ng0n1", 238, 0);
  const DeviceFindings found = Find();
  EXPECT_EQ(found.driver, "nvme");
  EXPECT_EQ(found.path, "/devices/pci0000:00/0000:00:01.0");
  EXPECT_EQ(Names(found), "c ng0n1 238:0\nc nvme0 239:0\nb nvme0n1 259:3\nb nvme0n1p1 259:4\n");
  ASSERT_EQ(found.nvme.size(), 1u);
  EXPECT_EQ(found.nvme[0].name, "nvme0");
  EXPECT_EQ(found.nvme[0].state, "live");
  EXPECT_EQ(found.nodes[3].path, "/devices/pci0000:00/0000:00:01.0/nvme/nvme0/nvme0n1/nvme0n1p1");
}

TEST_F(DeviceTreeTest, NamespacesOfASubsystemAreFoundByTheControllersLink) {
  const std::string nvme = AddPci(kSlot, "nvme") + "/nvme/nvme3";
  AddNode(nvme, "nvme", "nvme3", 239, 3);
  AddDevice(nvme + "/nvme0c3n1", "block", "DEVTYPE=disk\n");  // a path: hidden, without a node
  const std::string virtuals = "/devices/virtual/nvme-subsystem/";
  AddDevice(virtuals + "nvme-subsys0", "nvme-subsystem", "");
  Link("/sys" + virtuals + "nvme-subsys0/nvme3", "../../../../.." + std::string("/sys") + nvme);
  AddNode(virtuals + "nvme-subsys0/nvme0n1", "block", "nvme0n1", 259, 9);
  // Another's, with a controller of that name somewhere else.
  AddNode("/devices/pci0000:00/0000:00:02.0/nvme/nvme3", "nvme", "nvme3", 239, 4);
  Link("/sys" + virtuals + "nvme-subsys1/nvme3",
       "../../../../../sys/devices/pci0000:00/0000:00:02.0/nvme/nvme3");
  AddNode(virtuals + "nvme-subsys1/nvme1n1", "block", "nvme1n1", 259, 10);
  const DeviceFindings found = Find();
  EXPECT_EQ(Names(found), "b nvme0n1 259:9\nc nvme3 239:3\n");
  ASSERT_EQ(found.other_paths.size(), 1u);
  EXPECT_EQ(found.other_paths[0], "/devices/virtual/nvme-subsystem/nvme-subsys0");
}

TEST_F(DeviceTreeTest, InterfacesAndNodesInDirectories) {
  const std::string path = AddPci(kSlot, "igb");
  AddDevice(path + "/net/eth1", "net", "INTERFACE=eth1\n");
  AddDevice(path + "/net/eth0", "net", "INTERFACE=eth0\n");
  AddNode(path + "/drm/card0", "drm", "dri/card0", 226, 0);
  AddNode(path + "/drm/renderD128", "drm", "dri/renderD128", 226, 128);
  const DeviceFindings found = Find();
  EXPECT_EQ(found.interfaces, (std::vector<std::string>{"eth0", "eth1"}));
  EXPECT_EQ(Names(found), "c dri/card0 226:0\nc dri/renderD128 226:128\n");
}

TEST_F(DeviceTreeTest, DeviceWithoutADriverHasNothing) {
  AddPci(kSlot, "");
  const DeviceFindings found = Find();
  EXPECT_EQ(found.driver, "");
  EXPECT_TRUE(found.nodes.empty());
}

TEST_F(DeviceTreeTest, DeviceThatIsNotThereIsNamedWithThoseThatAre) {
  const DeviceTree tree(root_ + "/sys");
  const auto no_bus = tree.Find(kSlot);
  EXPECT_EQ(no_bus.error().code(), ErrorCode::kUnavailable);
  EXPECT_NE(no_bus.error().ToString().find("has no PCI bus"), std::string::npos);
  AddPci("0000:00:00.0", "");
  AddPci("0000:00:02.0", "nvme");
  EXPECT_EQ(tree.Find(kSlot).error().ToString(),
            "device 0000:00:01.0 is not on the guest's PCI bus (0000:00:00.0, 0000:00:02.0)");
}

TEST_F(DeviceTreeTest, LinksAreNotFollowed) {
  const std::string path = AddPci(kSlot, "nvme");
  AddNode("/devices/platform/pmem", "block", "pmem0", 259, 0);
  Link("/sys" + path + "/friend", "/sys/devices/platform/pmem");
  Link("/sys" + path + "/loop", ".");
  // A link to a device of which the kernel says that it is on the bus, but elsewhere.
  Link("/sys/bus/pci/devices/0000:00:05.0", "/tmp");
  EXPECT_EQ(Names(Find()), "");
  EXPECT_FALSE(DeviceTree(root_ + "/sys").Find("0000:00:05.0").has_value());
}

TEST_F(DeviceTreeTest, TreesWithoutEndAreCutOff) {
  const std::string path = AddPci(kSlot, "nvme");
  std::string deep = path;
  for (int i = 0; i < 40; ++i) deep += "/d";
  AddNode(deep, "block", "too-deep", 259, 0);
  AddNode(path + "/d", "block", "here", 259, 1);
  EXPECT_EQ(Names(Find()), "b here 259:1\n");
  AddNode(path + "/e", "block", "there", 259, 2);
  EXPECT_TRUE(DeviceTree(root_ + "/sys", 2).Find(kSlot).has_value());
  EXPECT_EQ(DeviceTree(root_ + "/sys", 1).Find(kSlot).error().code(), ErrorCode::kExhausted);
}

TEST_F(DeviceTreeTest, OneDeviceIsLookedAtByItsPath) {
  const std::string path = AddPci(kSlot, "nvme") + "/nvme/nvme0/nvme0n1";
  AddNode(path, "block", "nvme0n1", 259, 3);
  const DeviceTree tree(root_ + "/sys");
  ASSERT_TRUE(tree.NodeAt(path).has_value());
  EXPECT_TRUE(tree.NodeAt(path)->block);
  EXPECT_FALSE(tree.NodeAt(path + "p9").has_value());
  Remove("/sys" + path + "/uevent");
  EXPECT_FALSE(tree.NodeAt(path).has_value()) << "removed: the directory goes last";
  Write("/outside/uevent", "MAJOR=1\nMINOR=1\nDEVNAME=x\n");
  EXPECT_FALSE(tree.NodeAt("/devices/../../outside").has_value());
  AddNode("/devices/other", "block", "other", 259, 7);
  Link("/sys/devices/link", "other");
  EXPECT_FALSE(tree.NodeAt("/devices/link").has_value());
}

TEST(ParseUeventTest, ModeAndOwner) {
  const auto node =
      ParseUevent("MAJOR=226\nMINOR=128\nDEVNAME=dri/renderD128\nDEVMODE=0666\nDEVGID=7\n");
  ASSERT_TRUE(node.has_value());
  EXPECT_EQ(node->mode, 0666u);
  EXPECT_EQ(node->gid, 7u);
  EXPECT_EQ(ParseUevent("MAJOR=1\nMINOR=2\nDEVNAME=x\n")->mode, 0600u);
}

TEST(ParseUeventTest, Misbehaviour) {
  for (const char* text : {"",
                           "MAJOR=1\nMINOR=1\n",
                           "MAJOR=1\nDEVNAME=x\n",
                           "MINOR=1\nDEVNAME=x\n",
                           "MAJOR=1\nMINOR=1\nDEVNAME=\n",
                           "MAJOR=1\nMINOR=1\nDEVNAME=/etc/passwd\n",
                           "MAJOR=1\nMINOR=1\nDEVNAME=../x\n",
                           "MAJOR=1\nMINOR=1\nDEVNAME=a/../../x\n",
                           "MAJOR=1\nMINOR=1\nDEVNAME=x/\n",
                           "MAJOR=1\nMINOR=1\nDEVNAME=a/b/c/d/e\n",
                           "MAJOR=1\nMINOR=1\nDEVNAME=\x1b[2J\n",
                           "MAJOR=1\nMINOR=1\nDEVNAME=a b\n",
                           "MAJOR=4096\nMINOR=1\nDEVNAME=x\n",
                           "MAJOR=1\nMINOR=1048576\nDEVNAME=x\n",
                           "MAJOR=-1\nMINOR=1\nDEVNAME=x\n",
                           "MAJOR=1x\nMINOR=1\nDEVNAME=x\n",
                           "MAJOR=\nMINOR=1\nDEVNAME=x\n",
                           "MAJOR=99999999999\nMINOR=1\nDEVNAME=x\n",
                           "MAJOR=1\nMINOR=1\nDEVNAME=x\nDEVMODE=07777\n",
                           "MAJOR=1\nMINOR=1\nDEVNAME=x\nDEVMODE=9\n"}) {
    EXPECT_FALSE(ParseUevent(text).has_value()) << text;
  }
  EXPECT_FALSE(ParseUevent("MAJOR=1\nMINOR=1\nDEVNAME=" + std::string(256, 'x') + "\n"));
  // NUL is no line's end.
  EXPECT_FALSE(ParseUevent(std::string_view("MAJOR=1\nMINOR=1\nDEVNAME=x\0y\n", 28)).has_value());
}

TEST(PciAddressTest, Shapes) {
  EXPECT_TRUE(IsPciAddress("0000:00:01.0"));
  EXPECT_TRUE(IsPciAddress("abcd:ef:1f.7"));
  for (const char* text : {"", "0000:00:01", "0000:00:01.8", "0000:00:01.00", "0000:00:0G.0",
                           "0000:00:0A.0", "0000/00:01.0", "../../etc/pa"}) {
    EXPECT_FALSE(IsPciAddress(text)) << text;
  }
}

TEST(UeventPathTest, MessagesOfTheKernelAndOthers) {
  EXPECT_EQ(UeventPath(std::string_view("add@/devices/x/y\0ACTION=add\0", 28)), "/devices/x/y");
  EXPECT_EQ(UeventPath("remove@/devices/x"), "/devices/x");
  for (const char* text : {"", "libudev", "add@", "add@/module/x", "add /devices/x", "@"}) {
    EXPECT_EQ(UeventPath(text), "") << text;
  }
}

TEST(KernelLineTest, RecordsAreShownWithoutTheirHeads) {
  EXPECT_EQ(KernelLine("3,339,5140900,-;nvme 0000:00:01.0: gave up\n SUBSYSTEM=pci\n"),
            "nvme 0000:00:01.0: gave up");
  EXPECT_EQ(KernelLine("6,339,5140900,-,caller=T1;a;b\n"), "a;b");
  EXPECT_EQ(KernelLine("3,1,2,-;\x1b[31mred\n"), "\\x1b[31mred");
  // Facility 1: a process wrote it.
  EXPECT_EQ(KernelLine("11,339,5140900,-;0000:00:01.0: trust me\n"), "");
  for (const char* text : {"", ";", "no number;text", "6,1,2,-"}) {
    EXPECT_EQ(KernelLine(text), "") << text;
  }
  EXPECT_EQ(KernelLine("3,1,2,-;" + std::string(5000, 'x')).size(), 300u);
}

TEST(KernelLinesTest, MissingLogIsNoLines) {
  EXPECT_TRUE(KernelLinesWith({"x"}, 3, "/no/such/file").empty());
  EXPECT_EQ(InKernelsWords({}), "");
  EXPECT_EQ(InKernelsWords({"a", "b"}), " (the guest's kernel: a; b)");
}

}  // namespace
}  // namespace hull::agent
