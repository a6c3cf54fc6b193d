// Passed-through devices, modules and attachments, against a real hull-agent, crun and kernel
// (agent_fixture.h): the machine's own PCI devices stand for what a guest was given.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "guest-agent/testing/agent_fixture.h"
#include "vmm/base/file.h"

namespace hull::agent::testing {
namespace {

namespace fs = std::filesystem;

// As docker has it: nothing, but for crun's own few. The capabilities are docker's in what matters
// here.
constexpr std::string_view kRestricted =
    R"(, "resources": {"devices": [{"allow": false, "access": "rwm"}]})";

std::string HostBridge() {
  return "0000:00:00.0";
}

int Shell(const std::string& command) {
  return std::system(command.c_str());
}

std::string Output(const std::string& command) {
  std::string text;
  FILE* const pipe = ::popen(command.c_str(), "r");
  char bytes[4096];
  while (pipe != nullptr && std::fgets(bytes, sizeof bytes, pipe) != nullptr) text += bytes;
  if (pipe != nullptr) ::pclose(pipe);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

class AgentDevicesTest : public AgentTest {
 protected:
  void TearDown() override {
    AgentTest::TearDown();
    for (const std::string& loop : loops_) Shell("losetup --detach " + loop);
  }

  v1::CreateRequest DeviceRequest(const std::string& id, const std::vector<std::string>& args,
                                  const std::string& address) {
    v1::CreateRequest request = Request(id, args, kRestricted);
    // mknod, to try what is refused.
    std::string config = request.oci_config();
    for (size_t at = 0; (at = config.find("\"CAP_KILL\"", at)) != std::string::npos; at += 24) {
      config.insert(at, "\"CAP_MKNOD\", ");
    }
    request.set_oci_config(config);
    request.add_devices()->set_address(address);
    return request;
  }

  // A read-only device with an EROFS of what `script` makes in its working directory.
  std::string MakeLayer(const std::string& script) {
    const std::string name = "/run/hull-layer-" + std::to_string(loops_.size());
    EXPECT_EQ(Shell("rm -rf " + name + " && mkdir " + name + " && cd " + name + " && " + script +
                    " && mkfs.erofs --quiet -E noinline_data " + name + ".erofs " + name +
                    " > /dev/null && rm -rf " + name),
              0);
    loops_.push_back(
        Output("losetup --find --show --read-only " + name + ".erofs; rm " + name + ".erofs"));
    return loops_.back();
  }

  std::string AgentsMounts() const {
    return ReadFile("/proc/" + std::to_string(agent_->pid()) + "/mountinfo", 1 << 20).value();
  }

  std::vector<std::string> loops_;
};

TEST_F(AgentDevicesTest, DeviceWithoutADriverIsReportedAndTheContainerRuns) {
  const auto created = Create(DeviceRequest("bridge", {"true"}, HostBridge()));
  ASSERT_TRUE(created.has_value()) << created.error().ToString();
  ASSERT_EQ(created->devices_size(), 1);
  EXPECT_EQ(created->devices(0).address(), HostBridge());
  EXPECT_EQ(created->devices(0).driver(), "");
  EXPECT_EQ(created->devices(0).nodes_size(), 0);
  ASSERT_TRUE(Start("bridge").has_value());
  EXPECT_EQ(Wait("bridge")->exit_code(), 0u);
}

TEST_F(AgentDevicesTest, DeviceThatIsNotOnTheBusIsRefusedAtOnce) {
  const auto before = std::chrono::steady_clock::now();
  const auto created = Create(DeviceRequest("absent", {"true"}, "0000:00:1e.7"));
  // Not NOT_FOUND, which is for the command.
  EXPECT_EQ(created.error().code(), ErrorCode::kUnavailable);
  const std::string message = created.error().ToString();
  EXPECT_NE(message.find("0000:00:1e.7 is not on the guest's PCI bus (0000:00:00.0"),
            std::string::npos)
      << message;
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
  EXPECT_TRUE(Create(Request("absent", {"true"})).has_value()) << "the id is free again";
}

TEST_F(AgentDevicesTest, DeviceNeedsAPlaceForItsNodes) {
  v1::CreateRequest request = DeviceRequest("nodev", {"true"}, HostBridge());
  std::string config = request.oci_config();
  const size_t begin = config.find(R"({"destination": "/dev", )");
  config.erase(begin, config.find("\n", begin) - begin);
  config.erase(config.find(R"({"destination": "/dev/pts")"),
               config.find("]}", config.find("newinstance")) + 2 -
                   config.find(R"({"destination": "/dev/pts")"));
  config.erase(config.find("\"source\": \"proc\"},") + 17, 1);
  request.set_oci_config(config);
  const auto created = Create(request);
  ASSERT_FALSE(created.has_value());
  EXPECT_EQ(created.error().code(), ErrorCode::kInvalidArgument) << created.error().ToString();
  EXPECT_NE(created.error().ToString().find("no tmpfs of its own at /dev"), std::string::npos)
      << created.error().ToString();
}

TEST_F(AgentDevicesTest, FieldsOutOfBoundsAreNamed) {
  const auto refusal = [&](const std::function<void(v1::CreateRequest&)>& change) {
    v1::CreateRequest request = Request("bad", {"true"});
    change(request);
    const auto created = Create(request);
    if (created) return std::string("created");
    EXPECT_EQ(created.error().code(), ErrorCode::kInvalidArgument);
    return created.error().ToString();
  };
  EXPECT_NE(refusal([](auto& r) {
              r.add_devices()->set_address("../../../etc");
            }).find("devices[0].address: '../../../etc' is not a PCI address"),
            std::string::npos);
  EXPECT_NE(refusal([](auto& r) {
              for (int i = 0; i < 17; ++i) r.add_devices();
            }).find("devices: 17"),
            std::string::npos);
  EXPECT_NE(refusal([](auto& r) { r.add_modules("../x"); }).find("modules: '../x'"),
            std::string::npos);
  EXPECT_NE(refusal([](auto& r) {
              r.add_attachments()->set_name("..");
            }).find("attachments[0].name: '..'"),
            std::string::npos);
  EXPECT_NE(refusal([](auto& r) {
              r.add_attachments()->set_name("a");
              r.mutable_attachments(0)->mutable_layer()->set_device("/etc/passwd");
            }).find("attachments[0].layer.device"),
            std::string::npos);
}

TEST_F(AgentDevicesTest, AttachmentIsMountedReadOnlyAndGoesWithItsContainer) {
  if (agent_->in_guest()) return;  // what is looked at is the agent's own mounts
  const std::string device = MakeLayer("mkdir sub && echo packed > sub/file");
  v1::CreateRequest request =
      Request("attached", {"sh", "-c", "cat /given/sub/file; echo x > /given/sub/file || echo ro"});
  v1::Attachment* attachment = request.add_attachments();
  attachment->set_name("files");
  attachment->mutable_layer()->set_device(device);
  const std::string state = Output("tr '\\0' '\\n' < /proc/" + std::to_string(agent_->pid()) +
                                   "/cmdline | grep -A1 -e --state | tail -1");
  const std::string place = state + "/attachments/attached/files";
  std::string config = request.oci_config();
  const std::string_view first = R"("mounts": [)";
  config.insert(config.find(first) + first.size(),
                R"({"destination": "/given", "type": "bind", "source": ")" + place +
                    R"(", "options": ["rbind", "ro"]},)");
  request.set_oci_config(config);
  ASSERT_TRUE(Create(request).has_value());
  const std::string mounts = AgentsMounts();
  EXPECT_NE(mounts.find(" " + place + " ro,nosuid,nodev,"), std::string::npos) << mounts;
  const UniqueFd out = Open("attached", "", v1::StreamOpen::STDOUT);
  ASSERT_TRUE(Start("attached").has_value());
  EXPECT_EQ(ReadToEnd(out), "packed\nro\n");
  ASSERT_TRUE(Delete("attached", true).has_value());
  EXPECT_EQ(AgentsMounts().find("/attachments/"), std::string::npos) << "still mounted";
}

TEST_F(AgentDevicesTest, AttachmentThatIsNoLayerIsAnErrorAndLeavesNothing) {
  if (agent_->in_guest()) return;
  v1::CreateRequest request = Request("attached", {"true"});
  for (const char* name : {"good", "bad"}) {
    v1::Attachment* attachment = request.add_attachments();
    attachment->set_name(name);
    attachment->mutable_layer()->set_device(agent_->layers()[0]);
  }
  request.mutable_attachments(1)->mutable_layer()->set_device("/dev/null");
  const auto created = Create(request);
  ASSERT_FALSE(created.has_value());
  EXPECT_NE(created.error().ToString().find("attachment bad"), std::string::npos)
      << created.error().ToString();
  EXPECT_EQ(AgentsMounts().find("/attachments/"), std::string::npos) << "still mounted";
}

class AgentModulesTest : public AgentDevicesTest {
 protected:
  void SetUp() override {
    AgentDevicesTest::SetUp();
    utsname names{};
    ::uname(&names);
    release_ = names.release;
  }
  void TearDown() override {
    Shell("rmmod dummy 2> /dev/null");
    AgentDevicesTest::TearDown();
  }
  v1::CreateRequest WithModules(const std::string& script) {
    v1::CreateRequest request = Request("modules", {"true"});
    request.mutable_rootfs()->add_layers()->set_device(MakeLayer(
        "mkdir -p usr/lib/modules/" + release_ +
        " usr/lib/firmware && ln -s usr/lib lib && cd lib/modules/" + release_ + " && " + script));
    return request;
  }
  std::string CopyDummy() const {
    return "{ cp $(modinfo -n dummy) . && echo $(basename $(modinfo -n dummy)): > modules.dep; }";
  }
  std::string release_;
};

TEST_F(AgentModulesTest, ModuleOfTheImageIsLoadedAndFirmwareIsTakenFromIt) {
  if (agent_->in_guest()) return;
  ASSERT_NE(Shell("test -e /sys/module/dummy"), 0);
  v1::CreateRequest request = WithModules(CopyDummy());
  request.add_modules("dummy");
  const auto created = Create(request);
  ASSERT_TRUE(created.has_value()) << created.error().ToString();
  EXPECT_EQ(Shell("test -e /sys/module/dummy"), 0);
  const std::string place = Output("cat /sys/module/firmware_class/parameters/path");
  EXPECT_NE(AgentsMounts().find(place), std::string::npos) << place;
  ASSERT_TRUE(Delete("modules", true).has_value());
  EXPECT_EQ(AgentsMounts().find(place), std::string::npos);
}

// nbd: its disks are of no bus, and their kind is new.
TEST_F(AgentModulesTest, WhatAModuleBringsIsTheContainersAsWell) {
  if (agent_->in_guest()) return;
  ASSERT_NE(Shell("test -e /sys/module/nbd"), 0);
  v1::CreateRequest request = WithModules(
      "{ cp $(modinfo -n nbd) . && echo $(basename $(modinfo -n nbd)): > modules.dep; }");
  const v1::CreateRequest restricted =
      DeviceRequest("modules",
                    {"sh", "-c",
                     "cat /dev/nbd0 && echo there; mknod /dev/any b 43 4095; cat /dev/any; mknod "
                     "/dev/loop b 7 0; "
                     "cat /dev/loop"},
                    HostBridge());
  request.set_oci_config(restricted.oci_config());
  request.add_modules("nbd");
  const Ended ended = Run(request);
  EXPECT_EQ(ended.out, "there\n") << ended.err;
  EXPECT_NE(ended.err.find("/dev/any': No such device or address"), std::string::npos) << ended.err;
  EXPECT_NE(ended.err.find("/dev/loop': Operation not permitted"), std::string::npos) << ended.err;
  EXPECT_EQ(Shell("rmmod nbd"), 0);
}

TEST_F(AgentModulesTest, ModulesOfAnotherKernelAreSaidToBe) {
  v1::CreateRequest request = WithModules("cd .. && mv $(ls) 5.10.0-9-amd64");
  request.add_modules("dummy");
  const auto created = Create(request);
  ASSERT_FALSE(created.has_value());
  EXPECT_EQ(created.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(created.error().ToString().find("it has those for 5.10.0-9-amd64"), std::string::npos)
      << created.error().ToString();
}

TEST_F(AgentModulesTest, FileThatIsNoModuleIsRefusedInTheKernelsWords) {
  if (agent_->in_guest()) return;
  v1::CreateRequest request =
      WithModules("echo no module > dummy.ko && echo dummy.ko: > modules.dep");
  request.add_modules("dummy");
  const auto created = Create(request);
  ASSERT_FALSE(created.has_value());
  EXPECT_NE(created.error().ToString().find("dummy.ko is not a module for the guest's kernel"),
            std::string::npos)
      << created.error().ToString();
}

// With an NVMe disk of the machine, which has no partitions and may be written to:
// scripts/lib/vfio-lab.
class AgentNvmeTest : public AgentDevicesTest {
 protected:
  void SetUp() override {
    AgentDevicesTest::SetUp();
    for (const auto& entry : fs::directory_iterator("/sys/bus/pci/drivers/nvme")) {
      const std::string name = entry.path().filename();
      if (name.starts_with("0000:")) address_ = name;
    }
    ASSERT_NE(address_, "") << "there is no NVMe disk";
    disk_ = Output("basename $(ls -d /sys/bus/pci/devices/" + address_ + "/nvme/*/nvme*n1)");
    ASSERT_EQ(Shell("blockdev --rereadpt /dev/" + disk_), 0);
  }
  void TearDown() override {
    AgentDevicesTest::TearDown();
    Shell("blockdev --rereadpt /dev/" + disk_);
  }
  // As the kernel sees partitions, without a table on the disk.
  void AddPartition(int number) const {
    ASSERT_EQ(Shell("addpart /dev/" + disk_ + " " + std::to_string(number) + " " +
                    std::to_string(number * 8192) + " 8192"),
              0);
  }
  void RemovePartition(int number) const {
    ASSERT_EQ(Shell("delpart /dev/" + disk_ + " " + std::to_string(number)), 0);
  }
  // Output of a command in the container, for as long as it is not `wanted`, at most 5 s.
  std::string Until(const std::string& id, const std::string& command, const std::string& wanted) {
    std::string said;
    for (int i = 0; i < 50; ++i) {
      said = RunExec(ExecOf(id, "e", {"sh", "-c", command})).out;
      if (said == wanted) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return said;
  }
  void StartSleeper() {
    ASSERT_TRUE(Create(DeviceRequest("nvme", {"sleep", "1000"}, address_)).has_value());
    ASSERT_TRUE(Start("nvme").has_value());
  }

  std::string address_;
  std::string disk_;
};

TEST_F(AgentNvmeTest, NodesAreThereAndUsableAndOtherDevicesStayRefused) {
  struct stat layer {};
  ASSERT_EQ(::stat(agent_->layers()[0].c_str(), &layer), 0);
  const std::string other =
      std::to_string(major(layer.st_rdev)) + " " + std::to_string(minor(layer.st_rdev));
  const v1::CreateRequest request =
      DeviceRequest("nvme",
                    {"sh", "-c",
                     "cd /dev; stat -c '%n %a %u %g' nvme* ; dd if=" + disk_ +
                         " bs=512 count=1 2> /dev/null | wc -c; "
                         "dd if=/dev/zero of=" +
                         disk_ + " bs=512 count=1 2> /dev/null && echo written; mknod other b " +
                         other + " && cat other; echo $?; ls -d ng* dri loop* vd* 2> /dev/null"},
                    address_);
  const auto created = Create(request);
  ASSERT_TRUE(created.has_value()) << created.error().ToString();
  ASSERT_EQ(created->devices_size(), 1);
  EXPECT_EQ(created->devices(0).driver(), "nvme");
  std::string nodes;
  for (const std::string& node : created->devices(0).nodes()) nodes += node + " ";
  const std::string controller = disk_.substr(0, disk_.rfind('n'));
  EXPECT_EQ(nodes, "/dev/ng" + disk_.substr(4) + " /dev/" + controller + " /dev/" + disk_ + " ");
  const UniqueFd out = Open("nvme", "", v1::StreamOpen::STDOUT);
  const UniqueFd err = Open("nvme", "", v1::StreamOpen::STDERR);
  ASSERT_TRUE(Start("nvme").has_value());
  EXPECT_EQ(ReadToEnd(out), controller + " 600 0 0\n" + disk_ + " 600 0 0\n512\nwritten\n1\nng" +
                                disk_.substr(4) + "\n")
      << ReadToEnd(err);
}

TEST_F(AgentNvmeTest, PartitionsComeAndGoWithTheirLeave) {
  StartSleeper();
  const std::string list = "cd /dev; ls -d " + disk_ + "*; for p in " + disk_ +
                           "p*; do head -c 512 $p | wc -c; done 2> /dev/null";
  AddPartition(1);
  AddPartition(2);
  EXPECT_EQ(Until("nvme", list, disk_ + "\n" + disk_ + "p1\n" + disk_ + "p2\n512\n512\n"),
            disk_ + "\n" + disk_ + "p1\n" + disk_ + "p2\n512\n512\n");
  struct stat second {};
  ASSERT_EQ(::stat(("/dev/" + disk_ + "p2").c_str(), &second), 0);
  const std::string number =
      std::to_string(major(second.st_rdev)) + " " + std::to_string(minor(second.st_rdev));
  RemovePartition(2);
  EXPECT_EQ(Until("nvme", "ls -d /dev/" + disk_ + "p*", "/dev/" + disk_ + "p1\n"),
            "/dev/" + disk_ + "p1\n");
  // The number is free for another device: ENXIO would say that the kernel let it through.
  const Ended gone =
      RunExec(ExecOf("nvme", "e", {"sh", "-c", "mknod /dev/gone b " + number + "; cat /dev/gone"}));
  EXPECT_NE(gone.err.find("not permitted"), std::string::npos) << gone.err;
}

TEST_F(AgentNvmeTest, ContainerThatRearrangesItsDevHarmsNobody) {
  const std::string target = "/run/hull-conformance-target";
  ASSERT_EQ(Shell("rm -rf " + target + "; mkdir " + target), 0);
  StartSleeper();
  // Names in the way: a link that leads out of the container, if the agent followed it.
  ASSERT_EQ(
      RunExec(ExecOf("nvme", "e",
                     {"sh", "-c",
                      "ln -s " + target + "/made /dev/" + disk_ + "p1 && mkdir /dev/" + disk_ +
                          "p2 && rm /dev/" + disk_ + " && ln -s /etc/passwd /dev/" + disk_}))
          .exit.exit_code(),
      0u);
  for (const int number : {1, 2, 3}) AddPartition(number);
  const std::string third = "/dev/" + disk_ + "p3\n";
  EXPECT_EQ(Until("nvme", "ls -d /dev/" + disk_ + "p3", third), third);
  EXPECT_EQ(
      RunExec(ExecOf("nvme", "e",
                     {"sh", "-c",
                      "cd /dev; readlink " + disk_ + "p1; test -d " + disk_ + "p2 && echo kept"}))
          .out,
      target + "/made\nkept\n");
  for (const int number : {1, 2, 3}) RemovePartition(number);
  EXPECT_EQ(Until("nvme", "ls -d /dev/" + disk_ + "p3 2> /dev/null", ""), "");
  EXPECT_EQ(RunExec(ExecOf("nvme", "e", {"readlink", "/dev/" + disk_})).out, "/etc/passwd\n");
  EXPECT_TRUE(fs::is_empty(target));
  Shell("rm -rf " + target);
}

TEST_F(AgentNvmeTest, NothingFollowsAContainerThatHasEnded) {
  StartSleeper();
  ASSERT_TRUE(Kill("nvme", SIGKILL).has_value());
  ASSERT_TRUE(Wait("nvme").has_value());
  AddPartition(1);
  ASSERT_TRUE(Delete("nvme").has_value());
  EXPECT_TRUE(Create(DeviceRequest("nvme", {"true"}, address_)).has_value())
      << "nor does it matter";
}

}  // namespace
}  // namespace hull::agent::testing
