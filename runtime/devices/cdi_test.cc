#include "runtime/devices/cdi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "runtime/devices/fake_host_fixture.h"

namespace hull::devices {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::string WhatIsWrong(std::string_view text) {
  const Result<CdiSpec> spec = ParseCdiSpec(text, "f");
  return spec ? "" : spec.error().ToString();
}

// A file of version 0.8.0 with one device "a" and these edits.
std::string WithEdits(std::string_view edits, std::string_view version = "0.8.0") {
  return fmt::format(
      R"({{"cdiVersion":"{}","kind":"vendor.com/nic","devices":[{{"name":"a","containerEdits":{}}}]}})",
      version, edits);
}

TEST(CdiSpec, EverythingOfTheSpecificationIsRead) {
  const Result<CdiSpec> spec = ParseCdiSpec(R"({
    "cdiVersion": "0.7.0", "kind": "vendor.com/net.card", "annotations": {"a": "b"},
    "devices": [
      {"name": "0", "annotations": {}, "containerEdits": {
        "env": ["A=1", "B="],
        "deviceNodes": [{"path": "/dev/vfio/12", "type": "c", "major": 511, "minor": 0,
                         "fileMode": 384, "permissions": "rw", "uid": 0, "gid": 0},
                        {"path": "/dev/x", "hostPath": "/dev/vfio/13"}],
        "mounts": [{"hostPath": "/opt/a", "containerPath": "/b", "type": "none",
                    "options": ["ro", "bind"]}],
        "additionalGids": [0, 44]}},
      {"name": "port:1.a_b-c"}],
    "containerEdits": {"env": ["ALL=1"]}})",
                                            "f");
  ASSERT_TRUE(spec) << spec.error().ToString();
  EXPECT_EQ(spec->kind, "vendor.com/net.card");
  const CdiEdits& edits = spec->devices.at("0");
  EXPECT_THAT(edits.environment, ElementsAre("A=1", "B="));
  ASSERT_THAT(edits.device_nodes, SizeIs(2));
  EXPECT_EQ(edits.device_nodes[0].host_path, "/dev/vfio/12");
  EXPECT_EQ(edits.device_nodes[1].path, "/dev/x");
  EXPECT_EQ(edits.device_nodes[1].host_path, "/dev/vfio/13");
  ASSERT_THAT(edits.mounts, SizeIs(1));
  EXPECT_THAT(edits.mounts[0].options, ElementsAre("ro", "bind"));
  EXPECT_THAT(edits.additional_gids, ElementsAre(44U));
  EXPECT_THAT(spec->edits.environment, ElementsAre("ALL=1"));
  EXPECT_TRUE(spec->devices.contains("port:1.a_b-c"));
}

TEST(CdiSpec, ErrorsNameFileAndField) {
  const auto with_edits = [](std::string_view edits) { return WhatIsWrong(WithEdits(edits)); };
  const std::string at = "f: devices[0].containerEdits";
  EXPECT_THAT(WhatIsWrong(""), HasSubstr("f: it is no JSON"));
  EXPECT_THAT(WhatIsWrong("[]"), HasSubstr("f: it is no object"));
  EXPECT_EQ(WhatIsWrong("{}"), "f: cdiVersion: it is missing");
  EXPECT_EQ(WhatIsWrong(R"({"cdiVersion":7})"), "f: cdiVersion: it is no text");
  EXPECT_EQ(WhatIsWrong(R"({"cdiVersion":"0.8.0"})"), "f: kind: it is missing");
  EXPECT_EQ(WhatIsWrong(R"({"cdiVersion":"0.8.0","kind":"vendor"})"),
            "f: kind: 'vendor' is not of the form vendor.com/class");
  EXPECT_EQ(WhatIsWrong(R"({"cdiVersion":"0.8.0","kind":"v/c"})"), "f: devices: it is missing");
  EXPECT_EQ(WhatIsWrong(R"({"cdiVersion":"0.8.0","kind":"v/c","devices":[]})"),
            "f: devices: it is empty");
  EXPECT_EQ(WhatIsWrong(R"({"cdiVersion":"0.8.0","kind":"v/c","devices":[{}]})"),
            "f: devices[0].name: it is missing");
  EXPECT_EQ(
      WhatIsWrong(R"({"cdiVersion":"0.8.0","kind":"v/c","devices":[{"name":"a"},{"name":"a"}]})"),
      "f: devices[1].name: there is a device 'a' before it");
  EXPECT_EQ(WhatIsWrong(R"({"cdiVersion":"0.8.0","kind":"v/c","devices":[{"name":"a/b"}]})"),
            "f: devices[0].name: 'a/b' is no device name");
  EXPECT_EQ(WhatIsWrong(R"({"cdiVersion":"0.8.0","kind":"v/c","x":1})"),
            "f: x: there is no such field");
  EXPECT_EQ(with_edits("[]"), at + ": it is no object");
  EXPECT_EQ(with_edits(R"({"environment":[]})"), at + ".environment: there is no such field");
  EXPECT_EQ(with_edits(R"({"env":{}})"), at + ".env: it is no list");
  EXPECT_EQ(with_edits(R"({"env":["a=b","x"]})"), at + ".env[1]: it is not of the form NAME=value");
  EXPECT_EQ(with_edits(R"({"env":["=x"]})"), at + ".env[0]: it is not of the form NAME=value");
  EXPECT_EQ(with_edits(R"({"env":["a=\u0000"]})"), at + ".env[0]: it has a NUL in it");
  EXPECT_EQ(with_edits(R"({"deviceNodes":[{}]})"), at + ".deviceNodes[0].path: it is missing");
  EXPECT_EQ(with_edits(R"({"deviceNodes":[{"path":"dev"}]})"),
            at + ".deviceNodes[0].path: it is no absolute path");
  EXPECT_EQ(with_edits(R"({"deviceNodes":[{"path":"/dev/vfio/../sda"}]})"),
            at + ".deviceNodes[0].path: it has .. in it");
  EXPECT_EQ(with_edits(R"({"deviceNodes":[{"path":"/d","major":"x"}]})"),
            at + ".deviceNodes[0].major: it is no number");
  EXPECT_EQ(with_edits(R"({"mounts":[{"hostPath":"/a"}]})"),
            at + ".mounts[0].containerPath: it is missing");
  EXPECT_EQ(with_edits(R"({"mounts":[{"hostPath":"/a","containerPath":"/b","options":"ro"}]})"),
            at + ".mounts[0].options: it is no list");
  EXPECT_EQ(with_edits(R"({"additionalGids":[-1]})"), at + ".additionalGids[0]: it is no group id");
  EXPECT_EQ(with_edits(R"({"additionalGids":[4294967296]})"),
            at + ".additionalGids[0]: it is no group id");
  EXPECT_EQ(with_edits(R"({"hooks":[{"path":"/x"}]})"), at + ".hooks[0].hookName: it is missing");
}

TEST(CdiSpec, ItsVersionDecidesWhatMayBeInIt) {
  EXPECT_EQ(WhatIsWrong(WithEdits("{}", "0.3.0")), "");
  EXPECT_EQ(WhatIsWrong(WithEdits("{}", "v1.0.0")), "");
  for (const char* version : {"0.2.0", "0.8.1", "0.9.0", "1.1.0", "0.3", "x"}) {
    EXPECT_THAT(WhatIsWrong(WithEdits("{}", version)), HasSubstr("is none of 0.3.0 to 0.8.0"))
        << version;
  }
  const std::string type = R"({"mounts":[{"hostPath":"/a","containerPath":"/b","type":"none"}]})";
  EXPECT_EQ(WhatIsWrong(WithEdits(type, "0.4.0")), "");
  EXPECT_THAT(WhatIsWrong(WithEdits(type, "0.3.0")), HasSubstr("type: it needs cdiVersion 0.4.0"));
  const std::string host_path = R"({"deviceNodes":[{"path":"/a","hostPath":"/b"}]})";
  EXPECT_THAT(WhatIsWrong(WithEdits(host_path, "0.4.0")), HasSubstr("it needs cdiVersion 0.5.0"));
  EXPECT_THAT(WhatIsWrong(WithEdits(R"({"additionalGids":[1]})", "0.6.0")),
              HasSubstr("it needs cdiVersion 0.7.0"));
  EXPECT_THAT(WhatIsWrong(R"({"cdiVersion":"0.5.0","kind":"v/c.d","devices":[{"name":"a"}]})"),
              HasSubstr("kind: it needs cdiVersion 0.6.0"));
}

TEST(CdiSpec, SizesAreCapped) {
  EXPECT_THAT(WhatIsWrong(WithEdits(fmt::format(R"({{"env":["A={}"]}})", std::string(5000, 'x')))),
              HasSubstr("env[0]: it has more than 4096 bytes"));
  std::string many;
  for (int i = 0; i < 1025; ++i) many += R"("A=1",)";
  EXPECT_THAT(WhatIsWrong(WithEdits("{\"env\":[" + many + "\"A=1\"]}")),
              HasSubstr("env: it has more than 1024 entries"));
  EXPECT_THAT(WhatIsWrong(std::string(100, '[')), HasSubstr("it is no JSON"));
  EXPECT_THAT(WhatIsWrong(std::string((1U << 20U) + 1, ' ')), HasSubstr("larger than 1024 KiB"));
  EXPECT_THAT(WhatIsWrong(R"({"\u001b[2J":1})"), HasSubstr("f: \\x1b[2J: there is no such field"));
}

TEST(CdiName, HasVendorClassAndName) {
  for (const char* name : {"vendor.com/class=name", "nvidia.com/gpu=0", "v/c=a:b", "a-b/c_d=0.1"}) {
    EXPECT_TRUE(IsCdiName(name)) << name;
  }
  for (const char* name : {"", "=", "vendor.com/class", "vendor.com/=x", "/class=x", "v/c=",
                           "pci=01:00.0", "/dev/sda", "v/c/d=x", "1v/c=x", "v/c=-x", "v/c=x y"}) {
    EXPECT_FALSE(IsCdiName(name)) << name;
  }
}

class CdiRegistryTest : public testing::Test {
 protected:
  void Put(const std::string& path, std::string_view device, std::string_view edits) {
    host_.Write(path,
                fmt::format(R"({{"cdiVersion":"0.8.0","kind":"v.com/c","devices":[{{"name":"{}",)"
                            R"("containerEdits":{}}}],"containerEdits":{{"env":["FILE={}"]}}}})",
                            device, edits, path));
  }
  std::string Environment(const std::vector<std::string>& names) {
    CdiEdits edits;
    const CdiRegistry registry = CdiRegistry::Load(host_.tree());
    if (const Status status = registry.Apply(names, edits); !status) {
      return status.error().ToString() + " | " + status.error().hint();
    }
    std::string text;
    for (const std::string& entry : edits.environment) text += entry + " ";
    return text;
  }

  FakeHost host_;
};

TEST_F(CdiRegistryTest, TheDevicesEditsComeAndThoseOfItsFileOnce) {
  host_.Write("/etc/cdi/v.json",
              R"({"cdiVersion":"0.8.0","kind":"v.com/c","devices":[
                {"name":"a","containerEdits":{"env":["A=1"]}},{"name":"b","containerEdits":{"env":["B=1"]}}],
                "containerEdits":{"env":["ALL=1"]}})");
  EXPECT_EQ(Environment({"v.com/c=a"}), "A=1 ALL=1 ");
  EXPECT_EQ(Environment({"v.com/c=b", "v.com/c=a"}), "B=1 ALL=1 A=1 ");
}

TEST_F(CdiRegistryTest, TheLaterDirectoryGoesBeforeTheEarlier) {
  Put("/etc/cdi/a.json", "x", "{}");
  EXPECT_EQ(Environment({"v.com/c=x"}), "FILE=/etc/cdi/a.json ");
  Put("/var/run/cdi/b.json", "x", "{}");
  EXPECT_EQ(Environment({"v.com/c=x"}), "FILE=/var/run/cdi/b.json ");
}

TEST_F(CdiRegistryTest, TwoFilesOfOneDirectoryAreAConflictForTheirDeviceOnly) {
  Put("/etc/cdi/a.json", "x", "{}");
  Put("/etc/cdi/b.json", "x", "{}");
  Put("/etc/cdi/c.json", "y", "{}");
  EXPECT_THAT(
      Environment({"v.com/c=x"}),
      HasSubstr("CDI device v.com/c=x is in two files: /etc/cdi/a.json and /etc/cdi/b.json"));
  EXPECT_EQ(Environment({"v.com/c=y"}), "FILE=/etc/cdi/c.json ");
  // What goes before both settles it.
  Put("/var/run/cdi/d.json", "x", "{}");
  EXPECT_EQ(Environment({"v.com/c=x"}), "FILE=/var/run/cdi/d.json ");
}

TEST_F(CdiRegistryTest, HooksAreRefusedWithTheReasonWhenTheyAreAskedFor) {
  Put("/etc/cdi/a.json", "x", R"({"hooks":[{"hookName":"createContainer","path":"/bin/x"}]})");
  EXPECT_THAT(Environment({"v.com/c=x"}),
              HasSubstr("CDI device v.com/c=x: /etc/cdi/a.json: devices[0].containerEdits.hooks[0] "
                        "(createContainer): hull does not do that: the container is in a VM"));
}

TEST_F(CdiRegistryTest, ADeviceThatIsNotThereIsSaidInDockersWords) {
  EXPECT_THAT(Environment({"v.com/c=x"}),
              HasSubstr("unresolvable CDI devices v.com/c=x | CDI files are"));
  host_.Write("/etc/cdi/n.yaml", "cdiVersion: 0.5.0\n");
  EXPECT_THAT(Environment({"v.com/c=x"}), HasSubstr("/etc/cdi/n.yaml is YAML"));
  host_.Write("/etc/cdi/broken.json", "{");
  EXPECT_THAT(Environment({"v.com/c=x"}), HasSubstr("a CDI file is wrong: /etc/cdi/broken.json"));
  // A wrong file keeps nothing else from working.
  Put("/etc/cdi/a.json", "x", "{}");
  EXPECT_EQ(Environment({"v.com/c=x"}), "FILE=/etc/cdi/a.json ");
}

TEST_F(CdiRegistryTest, WhatIsNoFileIsPassedOver) {
  host_.MakeDirectory("/etc/cdi/d.json");
  ASSERT_EQ(::mkfifo(host_.Path("/etc/cdi/fifo.json").c_str(), 0600), 0);
  host_.Link("/etc/cdi/loop.json", "/etc/cdi/loop.json");
  ASSERT_EQ(::symlink("/dev/zero", host_.Path("/etc/cdi/zero.json").c_str()), 0);
  host_.Write("/etc/cdi/long.json", std::string((1U << 20U) + 1, ' '));
  const CdiRegistry registry = CdiRegistry::Load(host_.tree());
  ASSERT_THAT(registry.errors(), SizeIs(5));
  EXPECT_EQ(registry.errors()[0].ToString(), "/etc/cdi/d.json: it is no regular file");
  EXPECT_EQ(registry.errors()[1].ToString(), "/etc/cdi/fifo.json: it is no regular file");
  EXPECT_EQ(registry.errors()[2].ToString(), "/etc/cdi/long.json: it is larger than 1024 KiB");
  EXPECT_THAT(registry.errors()[3].ToString(), HasSubstr("/etc/cdi/loop.json: open"));
  EXPECT_EQ(registry.errors()[4].ToString(), "/etc/cdi/zero.json: it is no regular file");
}

}  // namespace
}  // namespace hull::devices
