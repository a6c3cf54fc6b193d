#include "runtime/devices/binding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/devices/fake_host_fixture.h"
#include "runtime/devices/virtual_functions.h"

namespace hull::devices {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const PciAddress kNvme{0, 1, 0, 0};
const std::string kName = "0000:01:00.0";

class BindingTest : public testing::Test {
 protected:
  BindingTest() {
    host_.MakeAble();
    host_.Add({});
  }
  Binder MakeBinder() {
    return Binder(host_.tree(), [this](const std::string& module) -> Status {
      loaded_.push_back(module);
      if (!module_is_there_) return Fail(ErrorCode::kUnavailable, "no module {}", module);
      host_.AddDriver(module);
      return {};
    });
  }
  Result<std::vector<BindOutcome>> Bind(BindOptions options = {}) {
    return MakeBinder().Bind(std::array{kNvme}, options);
  }
  Result<UnbindOutcome> Unbind(bool persist = false) { return MakeBinder().Unbind(kNvme, persist); }

  FakeHost host_;
  std::vector<std::string> loaded_;
  bool module_is_there_ = true;
};

TEST_F(BindingTest, ADeviceGoesToVfioAndBackToItsDriver) {
  const auto outcome = Bind();
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(outcome->front().driver_before, "nvme");
  EXPECT_TRUE(outcome->front().changed);
  EXPECT_EQ(host_.DriverOf(kName), "vfio-pci");
  EXPECT_EQ(host_.OverrideOf(kName), "vfio-pci");
  EXPECT_EQ(MakeBinder().DriverBefore(kNvme), "nvme");
  const auto back = Unbind();
  ASSERT_TRUE(back) << back.error().ToString();
  EXPECT_EQ(back->driver, "nvme");
  EXPECT_EQ(host_.DriverOf(kName), "nvme");
  EXPECT_EQ(host_.OverrideOf(kName), "(null)");
  EXPECT_FALSE(host_.tree().Exists(std::string(kBindingDirectory) + "/" + kName + ".json"));
}

TEST_F(BindingTest, BindingTwiceChangesNothingTheSecondTime) {
  ASSERT_TRUE(Bind());
  const int writes = host_.writes;
  const auto again = Bind();
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->front().changed);
  EXPECT_EQ(host_.writes, writes);
  EXPECT_EQ(MakeBinder().DriverBefore(kNvme), "nvme");
}

TEST_F(BindingTest, ADeviceWithoutADriverComesBackWithoutOne) {
  host_.Add({.address = "0000:02:00.0", .driver = "", .group = 2});
  const PciAddress address{0, 2, 0, 0};
  ASSERT_TRUE(MakeBinder().Bind(std::array{address}, {}));
  EXPECT_EQ(host_.DriverOf("0000:02:00.0"), "vfio-pci");
  ASSERT_TRUE(MakeBinder().Unbind(address, false));
  EXPECT_EQ(host_.DriverOf("0000:02:00.0"), "");
}

TEST_F(BindingTest, AnOverrideOfBeforeIsPutBack) {
  ASSERT_TRUE(host_.tree().Write("/sys/bus/pci/devices/" + kName + "/driver_override", "nvme\n"));
  ASSERT_TRUE(Bind());
  ASSERT_TRUE(Unbind());
  EXPECT_EQ(host_.OverrideOf(kName), "nvme");
}

TEST_F(BindingTest, TheModuleIsLoadedWhenItIsNot) {
  host_.Remove("/sys/bus/pci/drivers/vfio-pci");
  ASSERT_TRUE(Bind());
  EXPECT_THAT(loaded_, ElementsAre("vfio-pci"));
}

TEST_F(BindingTest, WithoutTheModuleNothingIsTouched) {
  host_.Remove("/sys/bus/pci/drivers/vfio-pci");
  module_is_there_ = false;
  const auto outcome = Bind();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().ToString(), "load vfio-pci: no module vfio-pci");
  EXPECT_EQ(host_.writes, 0);
  EXPECT_EQ(host_.DriverOf(kName), "nvme");
}

// Every write of bind, and of unbind, is where a kill -9 comes; then either command must get the
// device to where it wants it.
TEST_F(BindingTest, AfterAKillAtAnyStepEitherCommandFinishes) {
  const auto die_in_child = [this](int step, bool binding) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      host_.before_write = [this, step](const std::string&, std::string_view) -> Status {
        if (host_.writes > step) ::_exit(9);
        return {};
      };
      host_.writes = 0;
      if (binding) {
        static_cast<void>(Bind());
      } else {
        static_cast<void>(Unbind());
      }
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WEXITSTATUS(status) == 9;
  };
  int kills = 0;
  for (const bool binding : {true, false}) {
    for (const bool then_bind : {true, false}) {
      for (int step = 0;; ++step) {
        if (!binding) {
          ASSERT_TRUE(Bind());
        }
        const bool was_killed = die_in_child(step, binding);
        kills += was_killed ? 1 : 0;
        SCOPED_TRACE(fmt::format("binding {} step {} then bind {}: driver '{}' override '{}'",
                                 binding, step, then_bind, host_.DriverOf(kName),
                                 host_.OverrideOf(kName)));
        if (then_bind) {
          const auto bound = Bind();
          ASSERT_TRUE(bound) << bound.error().ToString();
          EXPECT_EQ(host_.DriverOf(kName), "vfio-pci");
          EXPECT_EQ(MakeBinder().DriverBefore(kNvme), "nvme");
        }
        // Killed before its first step, or done: the device may be back already.
        const bool is_back = host_.DriverOf(kName) == "nvme" && !MakeBinder().DriverBefore(kNvme) &&
                             host_.OverrideOf(kName) == "(null)";
        if (!is_back) {
          const auto back = Unbind();
          ASSERT_TRUE(back) << back.error().ToString();
        }
        EXPECT_EQ(host_.DriverOf(kName), "nvme");
        EXPECT_EQ(host_.OverrideOf(kName), "(null)");
        EXPECT_FALSE(MakeBinder().DriverBefore(kNvme));
        if (!was_killed) break;
      }
    }
  }
  EXPECT_GE(kills, 12);
}

TEST_F(BindingTest, AFailingStepIsUndone) {
  host_.before_write = [](const std::string& path, std::string_view) -> Status {
    if (path.ends_with("/driver/unbind")) return Fail(ErrorCode::kFailed, "the kernel says no");
    return {};
  };
  const auto outcome = Bind();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().ToString(), "bind 0000:01:00.0: the kernel says no");
  EXPECT_EQ(host_.DriverOf(kName), "nvme");
  EXPECT_EQ(host_.OverrideOf(kName), "(null)");
}

TEST_F(BindingTest, OfSeveralAllOrNoneAreBound) {
  host_.Add({.address = "0000:01:00.1", .driver = "snd_hda_intel", .group = 1});
  const std::array both = {kNvme, PciAddress{0, 1, 0, 1}};
  // One alone shares its group with the other, which the host uses.
  const auto alone = Bind();
  ASSERT_FALSE(alone);
  EXPECT_THAT(alone.error().ToString(),
              HasSubstr("its IOMMU group 1 also holds 0000:01:00.1 (driver snd_hda_intel)"));
  EXPECT_THAT(alone.error().hint(), HasSubstr("hull device bind 0000:01:00.0 0000:01:00.1"));
  host_.before_write = [](const std::string& path, std::string_view) -> Status {
    if (path.ends_with(":00.1/driver_override")) return Fail(ErrorCode::kFailed, "no");
    return {};
  };
  ASSERT_FALSE(MakeBinder().Bind(both, {}));
  EXPECT_EQ(host_.DriverOf(kName), "nvme");
  host_.before_write = {};
  ASSERT_TRUE(MakeBinder().Bind(both, {}));
  EXPECT_EQ(host_.DriverOf(kName), "vfio-pci");
  EXPECT_EQ(host_.DriverOf("0000:01:00.1"), "vfio-pci");
}

TEST_F(BindingTest, ADriverThatDoesNotTakeTheDeviceIsTold) {
  host_.before_write = [this](const std::string& path, std::string_view) -> Status {
    if (path.ends_with("drivers_probe")) {
      host_.before_write = {};
      return Fail(ErrorCode::kFailed, "probe failed");
    }
    return {};
  };
  const auto outcome = Bind();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().ToString(),
            "bind 0000:01:00.0: vfio-pci did not take it: probe failed");
  EXPECT_EQ(host_.DriverOf(kName), "nvme");
}

TEST_F(BindingTest, ADeviceThatAVmHasIsNotGivenBack) {
  ASSERT_TRUE(Bind());
  host_.AddProcess(4711, "hull-vmm", "/dev/vfio/1");
  const int writes = host_.writes;
  const auto back = Unbind();
  ASSERT_FALSE(back);
  EXPECT_EQ(
      back.error().ToString(),
      "device 0000:01:00.0 is in use: process 4711 (hull-vmm), container 0123456789ab uses it");
  EXPECT_EQ(host_.writes, writes);
}

TEST_F(BindingTest, WhatIsNotBoundIsNotUnbound) {
  const auto back = Unbind();
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().ToString(),
            "device 0000:01:00.0 is not bound to vfio-pci: its driver is nvme");
}

TEST_F(BindingTest, WithoutARecordTheKernelChooses) {
  ASSERT_TRUE(Bind());
  host_.Remove(kBindingDirectory);
  const auto back = Unbind();
  ASSERT_TRUE(back) << back.error().ToString();
  EXPECT_EQ(back->driver, "nvme");
}

TEST_F(BindingTest, ARecordOfAnotherDeviceOrABrokenOneIsNotBelieved) {
  const std::string record = std::string(kBindingDirectory) + "/" + kName + ".json";
  for (const char* text : {"", "{", "[]", "{\"vendor\":1,\"device\":2,\"driver\":\"e1000e\"}",
                           "{\"vendor\":32902,\"device\":4660,\"driver\":\"../../../tmp/x\"}"}) {
    host_.Write(record, text);
    EXPECT_FALSE(MakeBinder().DriverBefore(kNvme)) << text;
  }
  host_.Write(record, "{\"vendor\":32902,\"device\":4660,\"driver\":\"e1000e\"}");
  EXPECT_EQ(MakeBinder().DriverBefore(kNvme), "e1000e");
  // The host's driver has it now, so that is how it was.
  ASSERT_TRUE(Bind());
  EXPECT_EQ(MakeBinder().DriverBefore(kNvme), "nvme");
}

TEST_F(BindingTest, PersistenceIsAUdevRuleOfThisVeryDevice) {
  const std::string path = std::string(kUdevRules) + "/10-hull-0000:01:00.0.rules";
  ASSERT_TRUE(Bind({.persist = true, .program = "/usr/bin/hull"}));
  EXPECT_TRUE(MakeBinder().IsPersistent(kNvme));
  EXPECT_THAT(
      host_.tree().Read(path),
      HasSubstr(
          "ACTION==\"add\", SUBSYSTEM==\"pci\", KERNEL==\"0000:01:00.0\", "
          "ATTR{vendor}==\"0x8086\", ATTR{device}==\"0x1234\", "
          "ATTR{driver_override}=\"vfio-pci\", RUN+=\"/usr/bin/hull device bind 0000:01:00.0\""));
  const auto back = Unbind();
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->still_persistent);
  // It can be taken away while the device is not bound.
  const auto gone = Unbind(true);
  ASSERT_TRUE(gone) << gone.error().ToString();
  EXPECT_FALSE(gone->still_persistent);
  EXPECT_FALSE(host_.tree().Exists(path));
}

TEST_F(BindingTest, DevicesOfOneGroupArePersistentTogether) {
  // Each alone would be refused while the other still has its driver.
  host_.Add({.address = "0000:01:00.1", .device = 0x0aaa, .driver = "snd_hda_intel", .group = 1});
  host_.Add({.address = "0000:02:00.0", .group = 2});
  const std::array all = {kNvme, PciAddress{0, 1, 0, 1}, PciAddress{0, 2, 0, 0}};
  const auto outcome =
      MakeBinder().Bind(all, {.force = true, .persist = true, .program = "/usr/bin/hull"});
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  const std::string rules = kUdevRules;
  const std::string first = host_.tree().Read(rules + "/10-hull-0000:01:00.0.rules");
  EXPECT_THAT(first, HasSubstr("ATTR{[pci/0000:01:00.1]vendor}==\"0x8086\", "
                               "ATTR{[pci/0000:01:00.1]device}==\"0x0aaa\""));
  EXPECT_THAT(first, HasSubstr("bind --force 0000:01:00.0 0000:01:00.1\""));
  EXPECT_THAT(host_.tree().Read(rules + "/10-hull-0000:02:00.0.rules"),
              HasSubstr("bind --force 0000:02:00.0\""));
}

TEST_F(BindingTest, AProgramThatUdevCouldMisreadIsRefused) {
  for (const char* program : {"", "hull", "/usr/bin/hull\"; reboot", "/a b/hull", "/a%k/hull"}) {
    const auto outcome = Bind({.persist = true, .program = program});
    ASSERT_FALSE(outcome) << program;
    EXPECT_EQ(host_.DriverOf(kName), "nvme") << program;
  }
}

TEST_F(BindingTest, VirtualFunctionsAreMadeWithoutADriverAndRemoved) {
  host_.Add({.address = "0000:03:00.0", .group = 3, .total_vfs = 4});
  const PciAddress physical{0, 3, 0, 0};
  const auto made = SetVirtualFunctions(host_.tree(), physical, 2);
  ASSERT_TRUE(made) << made.error().ToString();
  EXPECT_THAT(*made, ElementsAre(PciAddress{0, 1, 0x10, 0}, PciAddress{0, 1, 0x10, 1}));
  EXPECT_EQ(host_.DriverOf("0000:01:10.0"), "");
  EXPECT_EQ(host_.DriverOf("0000:03:00.0"), "nvme");
  EXPECT_EQ(host_.tree().Read("/sys/bus/pci/devices/0000:03:00.0/sriov_drivers_autoprobe"), "1");
  const PciDevice function = ReadPciDevice(host_.tree(), made->front()).value();
  EXPECT_EQ(function.physical_function, physical);
  const auto more = SetVirtualFunctions(host_.tree(), physical, 3);
  ASSERT_TRUE(more) << more.error().ToString();
  EXPECT_EQ(more->size(), 3U);
  ASSERT_TRUE(SetVirtualFunctions(host_.tree(), physical, 0));
  EXPECT_FALSE(host_.tree().Exists("/sys/bus/pci/devices/0000:01:10.0"));
}

TEST_F(BindingTest, VirtualFunctionsAreRefusedWhereTheyCannotBe) {
  const auto none = SetVirtualFunctions(host_.tree(), kNvme, 1);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().ToString(), "device 0000:01:00.0 has no SR-IOV");
  host_.Add({.address = "0000:03:00.0", .group = 3, .total_vfs = 4});
  const PciAddress physical{0, 3, 0, 0};
  const auto many = SetVirtualFunctions(host_.tree(), physical, 5);
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().ToString(), "device 0000:03:00.0 can have 4 virtual functions, not 5");
  ASSERT_TRUE(SetVirtualFunctions(host_.tree(), physical, 1));
  const auto nested = SetVirtualFunctions(host_.tree(), {0, 1, 0x10, 0}, 1);
  ASSERT_FALSE(nested);
  EXPECT_THAT(nested.error().ToString(),
              HasSubstr("is a virtual function itself, of 0000:03:00.0"));
  // Taking the physical function away would take them with it.
  const auto bound = MakeBinder().Bind(std::array{physical}, {});
  ASSERT_FALSE(bound);
  EXPECT_THAT(bound.error().ToString(), HasSubstr("it has 1 virtual functions"));
  // One that a VM has keeps all from being changed.
  ASSERT_TRUE(MakeBinder().Bind(std::array{PciAddress{0, 1, 0x10, 0}}, {}));
  host_.AddProcess(99, "qemu", "/dev/vfio/100");
  const auto busy = SetVirtualFunctions(host_.tree(), physical, 0);
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().ToString(),
            "virtual function 0000:01:10.0 is in use: process 99 (qemu) uses it");
}

TEST_F(BindingTest, ADriverThatKnowsNoSriovIsNamed) {
  host_.Add({.address = "0000:03:00.0", .group = 3, .total_vfs = 4});
  host_.before_write = [](const std::string& path, std::string_view) -> Status {
    if (path.ends_with("numvfs")) return Fail(Error::FromErrno(ENOENT, "write " + path));
    return {};
  };
  const auto made = SetVirtualFunctions(host_.tree(), {0, 3, 0, 0}, 1);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().hint(), HasSubstr("it has driver nvme"));
  EXPECT_EQ(host_.tree().Read("/sys/bus/pci/devices/0000:03:00.0/sriov_drivers_autoprobe"), "1");
}

}  // namespace
}  // namespace hull::devices
