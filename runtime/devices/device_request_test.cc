#include "runtime/devices/device_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/devices/fake_host_fixture.h"
#include "runtime/devices/gpu_request.h"

namespace hull::devices {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class DeviceRequestTest : public testing::Test {
 protected:
  DeviceRequestTest() {
    host_.MakeAble();
    host_.Add({.address = "0000:01:00.0", .driver = "vfio-pci", .group = 1});
    host_.Add({.address = "0000:02:00.0", .driver = "vfio-pci", .group = 2});
    host_.Add({.address = "0000:02:00.1", .driver = "vfio-pci", .group = 2});
    host_.Add({.address = "0000:03:00.0", .group = 3});
  }
  void AddGpu(const std::string& address, const std::string& driver, int group) {
    host_.Add({.address = address, .class_code = 0x030200, .driver = driver, .group = group});
  }
  // Addresses, or the error and its hint.
  std::string Resolved(const std::vector<std::string>& devices,
                       const std::vector<std::string>& gpus = {}) {
    const Result<DeviceGrant> grant = ResolveDevices(host_.tree(), devices, gpus);
    if (!grant) return grant.error().ToString() + " | " + grant.error().hint();
    std::string text;
    for (const PciFunction& function : grant->functions) {
      text += (text.empty() ? "" : " ") + function.address.ToString();
    }
    return text;
  }

  FakeHost host_;
};

TEST_F(DeviceRequestTest, AddressesAreTakenInTheirOrderAndOnce) {
  EXPECT_EQ(Resolved({"pci=0000:01:00.0"}), "0000:01:00.0");
  EXPECT_EQ(Resolved({"pci=02:00.1,0000:01:00.0"}), "0000:02:00.1 0000:01:00.0");
  EXPECT_EQ(Resolved({"01:00.0", "pci=01:00.0,02:00.0"}), "0000:01:00.0 0000:02:00.0");
  EXPECT_EQ(Resolved({}), "");
}

TEST_F(DeviceRequestTest, AGroupsNodeIsAllOfItsBoundDevices) {
  EXPECT_EQ(Resolved({"vfio=/dev/vfio/2"}), "0000:02:00.0 0000:02:00.1");
  host_.Link("/sys/class/vfio-dev/vfio0/device", "/sys/devices/pci0000:00/0000:01:00.0");
  EXPECT_EQ(Resolved({"vfio=/dev/vfio/devices/vfio0"}), "0000:01:00.0");
  for (const char* path : {"/dev/vfio/3", "/dev/vfio/99", "/dev/vfio/vfio", "/dev/vfio/", "2", "",
                           "/dev/vfio/2x", "/dev/vfio/devices/../../x", "/dev/vfio/devices/"}) {
    EXPECT_THAT(Resolved({std::string("vfio=") + path}), HasSubstr("is no VFIO device")) << path;
  }
}

TEST_F(DeviceRequestTest, WhatIsWrongIsSaidWithWhatToDo) {
  EXPECT_EQ(
      Resolved({"pci=03:00.0"}),
      "--device pci=03:00.0: device 0000:03:00.0 is the host's: its driver is nvme | hull device "
      "bind 0000:03:00.0");
  EXPECT_THAT(Resolved({"pci=09:00.0"}), HasSubstr("there is no PCI device 0000:09:00.0"));
  EXPECT_THAT(Resolved({"pci=01:00.0,"}), HasSubstr("'' is no PCI address"));
  EXPECT_THAT(Resolved({"pci="}), HasSubstr("'' is no PCI address"));
  EXPECT_THAT(Resolved({"/dev/sda"}),
              HasSubstr("--device /dev/sda: it names no device that can be"));
  host_.Add({.address = "0000:01:00.1", .driver = "snd_hda_intel", .group = 1});
  EXPECT_THAT(Resolved({"pci=01:00.0"}),
              HasSubstr("its IOMMU group 1 also holds 0000:01:00.1 (driver snd_hda_intel)"));
  host_.AddProcess(7, "hull-vmm", "/dev/vfio/2");
  EXPECT_THAT(Resolved({"pci=02:00.0"}),
              HasSubstr("device 0000:02:00.0: it is in use already: process 7 (hull-vmm)"));
}

TEST_F(DeviceRequestTest, ADeviceThatWasBoundByForceNeedsNoForceAgain) {
  host_.Add({.address = "0000:04:00.0", .driver = "vfio-pci", .group = 4, .reset_method = ""});
  EXPECT_EQ(Resolved({"pci=04:00.0"}), "0000:04:00.0");
}

TEST_F(DeviceRequestTest, CdiBringsDevicesEnvironmentAndMounts) {
  host_.Write("/etc/cdi/v.json", R"({"cdiVersion":"0.5.0","kind":"v.com/nic","devices":[
    {"name":"0","containerEdits":{"env":["NIC=0"],"deviceNodes":[{"path":"/dev/vfio/vfio"},
      {"path":"/dev/vfio/2"}],"mounts":[{"hostPath":"/opt","containerPath":"/opt"}]}},
    {"name":"node","containerEdits":{"deviceNodes":[{"path":"/dev/nvidia0"}]}},
    {"name":"gone","containerEdits":{"deviceNodes":[{"path":"/dev/vfio/77"}]}}]})");
  const Result<DeviceGrant> grant =
      ResolveDevices(host_.tree(), {"v.com/nic=0", "pci=01:00.0"}, {});
  ASSERT_TRUE(grant) << grant.error().ToString();
  ASSERT_EQ(grant->functions.size(), 3U);
  EXPECT_EQ(grant->functions[1].address.ToString(), "0000:02:00.0");
  EXPECT_EQ(grant->functions[1].iommu_group, 2U);
  EXPECT_THAT(grant->environment, ElementsAre("NIC=0"));
  ASSERT_EQ(grant->mounts.size(), 1U);
  EXPECT_EQ(grant->mounts[0].container_path, "/opt");
  EXPECT_THAT(
      Resolved({"v.com/nic=node"}),
      HasSubstr("CDI device injection failed: /dev/nvidia0 is a node of a driver of the host"));
  EXPECT_THAT(Resolved({"v.com/nic=gone"}), HasSubstr("/dev/vfio/77 is no VFIO device"));
  EXPECT_THAT(Resolved({"v.com/nic=1"}),
              HasSubstr("CDI device injection failed: unresolvable CDI devices v.com/nic=1"));
}

TEST_F(DeviceRequestTest, GpusAreTheBoundDisplays) {
  EXPECT_THAT(Resolved({}, {"all"}), HasSubstr("could not select device driver \"\" with "
                                               "capabilities: [[gpu]]: 0 of the host's displays"));
  AddGpu("0000:05:00.0", "vfio-pci", 5);
  AddGpu("0000:06:00.0", "vfio-pci", 6);
  AddGpu("0000:07:00.0", "nouveau", 7);
  EXPECT_EQ(Resolved({}, {"all"}), "0000:05:00.0 0000:06:00.0");
  EXPECT_EQ(Resolved({}, {"1"}), "0000:05:00.0");
  EXPECT_EQ(Resolved({}, {"0"}), "");
  EXPECT_EQ(Resolved({}, {"device=1"}), "0000:06:00.0");
  EXPECT_EQ(Resolved({}, {"\"device=1,05:00.0\",capabilities=utility"}),
            "0000:06:00.0 0000:05:00.0");
  EXPECT_THAT(Resolved({}, {"3"}), HasSubstr("2 of the host's displays are bound to vfio-pci and "
                                             "free | hull device bind 0000:07:00.0"));
  EXPECT_THAT(Resolved({}, {"device=2"}), HasSubstr("there is no GPU 2: 2 are bound"));
  EXPECT_THAT(Resolved({}, {"device=07:00.0"}), HasSubstr("0000:07:00.0 is the host's"));
  EXPECT_THAT(Resolved({}, {"device=01:00.0"}), HasSubstr("0000:01:00.0 is no display"));
  // One that a VM has is not counted, and "all" wants it.
  host_.AddProcess(7, "hull-vmm", "/dev/vfio/5");
  EXPECT_EQ(Resolved({}, {"1"}), "0000:06:00.0");
  EXPECT_THAT(Resolved({}, {"all"}), HasSubstr("in use already"));
}

TEST_F(DeviceRequestTest, RequestsForDevicesAreToldFromPaths) {
  for (const char* text : {"pci=01:00.0", "pci=", "vfio=/dev/vfio/1", "v.com/c=x", "01:00.0"}) {
    EXPECT_TRUE(IsDeviceRequest(text)) << text;
  }
  for (const char* text : {"/dev/fuse", "/dev/sda:/dev/xvda:rwm", "", "PCI=01:00.0", "class=x"}) {
    EXPECT_FALSE(IsDeviceRequest(text)) << text;
  }
}

TEST(GpuRequest, IsReadAsDockerReadsIt) {
  const auto read = [](std::string_view text) {
    const Result<GpuRequest> request = ParseGpuRequest(text);
    if (!request) return request.error().ToString();
    std::string shown = request->all ? "all" : "";
    if (request->count) shown += fmt::format("{}", *request->count);
    for (const std::string& device : request->devices) shown += "[" + device + "]";
    return shown;
  };
  EXPECT_EQ(read("all"), "all");
  EXPECT_EQ(read("2"), "2");
  EXPECT_EQ(read("count=3"), "3");
  EXPECT_EQ(read("count=all"), "all");
  EXPECT_EQ(read("capabilities=compute"), "1");
  EXPECT_EQ(read("driver=vfio"), "1");
  EXPECT_EQ(read("device=0"), "[0]");
  EXPECT_EQ(read("\"device=0,2\""), "[0][2]");
  EXPECT_EQ(read("\"device=0,2\",\"capabilities=compute,utility\""), "[0][2]");
  // Without quotes the comma ends the field.
  EXPECT_EQ(read("device=0,2"), "cannot set both Count and DeviceIDs on device request");
  EXPECT_EQ(read("x"), "invalid count (x): value must be either \"all\" or an integer");
  EXPECT_EQ(read("-5"), "invalid count (-5): value must be either \"all\" or an integer");
  EXPECT_EQ(read("99999999999"),
            "invalid count (99999999999): value must be either \"all\" or an integer");
  EXPECT_EQ(read("count=1,count=2"), "gpu request key 'count' can be specified only once");
  EXPECT_EQ(read("1,count=2"), "gpu request key 'count' can be specified only once");
  EXPECT_EQ(read("colour=red"), "unexpected key 'colour' in 'colour=red'");
  EXPECT_EQ(read("count=1,device=0"), "cannot set both Count and DeviceIDs on device request");
  EXPECT_EQ(read("driver=nvidia"),
            "could not select device driver \"nvidia\" with capabilities: [[gpu]]");
  EXPECT_EQ(read("\"device=0"), "extraneous or missing \" in quoted-field");
  EXPECT_EQ(read("de\"vice=0"), "bare \" in non-quoted-field");
  EXPECT_EQ(read(""), "--gpus: EOF");
}

}  // namespace
}  // namespace hull::devices
