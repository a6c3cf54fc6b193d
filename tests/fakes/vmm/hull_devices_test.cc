// `hull run --device` and --gpus on a made-up host, with a fake machine: what is asked of hull-vmm
// and of the agent, what is recorded and shown, and every usual failure in its own words.
#include <gmock/gmock.h>

#include <fstream>

#include <boost/json/parse.hpp>

#include "images/import/testing/erofs_reader.h"
#include "runtime/devices/fake_host_fixture.h"
#include "tests/fakes/vmm/hull_on_fake.h"

namespace hull {
namespace {

namespace json = boost::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class HullDevicesTest : public HullOnFake {
 protected:
  HullDevicesTest() {
    host_.MakeAble();
    host_.Write("/proc/self/status", "CapEff:\t000001ffffffffff\n");
    host_.Add({.address = "0000:01:00.0", .driver = "vfio-pci", .group = 1});
    host_.Add({.address = "0000:02:00.0", .driver = "vfio-pci", .group = 2});
    host_.Add({.address = "0000:02:00.1", .driver = "vfio-pci", .group = 2});
    host_.Add({.address = "0000:03:00.0", .driver = "nvme", .group = 3});
    host_.Add(
        {.address = "0000:04:00.0", .class_code = 0x030000, .driver = "vfio-pci", .group = 4});
    host_.Write("/usr/share/misc/pci.ids", "8086  Maker\n\t1234  Thing\n");
    host_.Write("/dev/kmsg", "");
  }
  // With the made-up host as the host.
  Ended On(const std::string& script, const std::string& fault = "") const {
    return Shell(
        "export HULL_HOST_ROOT=" + host_.Path("") + "; RUN='run --rm --storage tmpfs'\n" + script,
        fault);
  }
  // What hull says to such flags; it must fail as docker does.
  std::string Refusal(const std::string& flags) const {
    const Ended ended = On("$HULL $RUN " + flags + " test true");
    EXPECT_EQ(ended.exit_code, 125) << flags;
    EXPECT_EQ(ended.out, "");
    return ended.err;
  }

  devices::FakeHost host_;
};

TEST_F(HullDevicesTest, MachineAndAgentAreToldOfTheDevicesInTheirOrder) {
  const Ended ended =
      On("$HULL $RUN --device pci=02:00.1,01:00.0 --gpus all test sh -c "
         "'cat $FAKE_RUN/created $FAKE_RUN/vm.json'");
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_EQ(ended.err, "");
  constexpr std::string_view kCreated =
      "layer /dev/vda\ndevice 0000:00:01.0\ndevice 0000:00:02.0\ndevice 0000:00:03.0\n";
  ASSERT_EQ(ended.out.substr(0, kCreated.size()), kCreated);
  const json::value config = json::parse(ended.out.substr(kCreated.size()));
  EXPECT_EQ(config.at("vfio"), json::parse(R"([{"id":"pci0","device":"0000:02:00.1"},
                            {"id":"pci1","device":"0000:01:00.0"},
                            {"id":"pci2","device":"0000:04:00.0"}])"));
  // Layers on a disk: what is on pmem would be pinned.
  EXPECT_EQ(config.at("pmem").as_array().size(), 1U);
  EXPECT_EQ(config.at("block").at(0).at("id"), "layers");
  // Of a device that cannot reach all memory Linux makes copies, if it may.
  EXPECT_EQ(config.at("kernel").at("command_line").as_string().find("swiotlb"), json::string::npos);
}

TEST_F(HullDevicesTest, WithoutDevicesNothingIsDifferent) {
  const Ended ended =
      On("$HULL $RUN --gpus 0 test sh -c 'cat $FAKE_RUN/created $FAKE_RUN/vm.json'");
  EXPECT_THAT(
      ended.out,
      AllOf(HasSubstr("layer /dev/pmem1\n"), HasSubstr("\"free_page_reporting\":true"),
            HasSubstr("swiotlb=noforce"), Not(HasSubstr("device ")), Not(HasSubstr("vfio"))))
      << ended.err;
}

TEST_F(HullDevicesTest, WithAPoolTheRestOfTheMachineIsAsWithoutDevices) {
  const Ended ended =
      On("$HULL $RUN --device 01:00.0 --annotation hull.dma-pool=16m test sh -c 'cat "
         "$FAKE_RUN/created $FAKE_RUN/vm.json'; $HULL $RUN --device 01:00.0 test sh -c 'cat "
         "$FAKE_RUN/vm.json'");
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
  const size_t first = ended.out.find("{\"version\"");
  const size_t second = ended.out.find("{\"version\"", first + 1);
  EXPECT_THAT(ended.out.substr(0, first), HasSubstr("layer /dev/pmem1\n"));
  const json::value with = json::parse(ended.out.substr(first, second - first));
  const json::value without = json::parse(ended.out.substr(second));
  constexpr int64_t kPool = 16 << 20;
  EXPECT_EQ(with.at("dma_pool_bytes"), kPool);
  EXPECT_EQ(with.at("free_page_reporting"), true);
  // What the container was promised stays its own.
  EXPECT_EQ(with.at("memory_bytes").as_int64(), without.at("memory_bytes").as_int64() + kPool);
  EXPECT_EQ(without.as_object().count("dma_pool_bytes"), 0U);
  EXPECT_EQ(without.as_object().count("free_page_reporting"), 0U);
}

TEST_F(HullDevicesTest, TheKernelIsTheOneForDevices) {
  const Ended ended =
      On("export HULL_KERNEL=/nonexistent/vmlinux; $HULL $RUN --device 01:00.0 test true");
  EXPECT_EQ(ended.exit_code, 125);
  EXPECT_THAT(ended.err, AllOf(HasSubstr("the guest kernel for passed-through devices "
                                         "/nonexistent/vmlinux: No such file or directory"),
                               HasSubstr("scripts/build-kernel --profile pci")));
}

TEST_F(HullDevicesTest, InspectShowsWhatDockerShowsAndWhatTheGuestMadeOfIt) {
  const Ended ended =
      On("$HULL run -d --storage tmpfs --name c1 --device pci=01:00.0 --device vfio=/dev/vfio/2 "
         "--gpus '\"device=0\"' --annotation hull.modules=bochs,drm_x test sleep 60 > /dev/null\n"
         "$HULL inspect c1; $HULL rm -f c1 > /dev/null");
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
  const json::value shown = json::parse(ended.out).at(0);
  EXPECT_EQ(shown.at("HostConfig").at("Devices"), json::parse(R"([
      {"PathOnHost":"pci=01:00.0","PathInContainer":"pci=01:00.0","CgroupPermissions":"rwm"},
      {"PathOnHost":"/dev/vfio/2","PathInContainer":"/dev/vfio/2","CgroupPermissions":"rwm"}])"));
  EXPECT_EQ(shown.at("HostConfig").at("DeviceRequests"), json::parse(R"([
      {"Driver":"","Count":0,"DeviceIDs":["0"],"Capabilities":[["gpu"]],"Options":{}}])"));
  const json::value& hull = shown.at("Hull");
  EXPECT_EQ(hull.at("Devices").as_array().size(), 4U);
  EXPECT_EQ(hull.at("Devices").at(0), json::parse(R"({"Address":"0000:01:00.0","VendorID":"8086",
      "DeviceID":"1234","Vendor":"Maker","Device":"Thing","IommuGroup":1,
      "GuestAddress":"0000:00:01.0","GuestDriver":"fake\\x1b","Nodes":["/dev/fake0"],
      "Interfaces":["eth0"],"IommuFaults":0})"));
  EXPECT_EQ(hull.at("MemoryPinned"), true);
  EXPECT_EQ(hull.at("FreePageReporting"), false);
  EXPECT_EQ(hull.at("Kernel").as_string(), (directory_ / "vmlinux").string());
  EXPECT_EQ(hull.at("Modules"), json::parse(R"(["bochs","drm_x"])"));
}

TEST_F(HullDevicesTest, ACommonContainerHasNeither) {
  const Ended ended = On(
      "$HULL create --storage tmpfs --name c1 test true > /dev/null\n"
      "$HULL inspect --format '{{json .HostConfig.Devices}} {{json .HostConfig.DeviceRequests}} "
      "{{json .Hull.Devices}} {{.Hull.MemoryPinned}} {{.Hull.FreePageReporting}}' c1; $HULL rm c1");
  EXPECT_EQ(ended.out, "[] null [] false true\nc1\n") << ended.err;
}

TEST_F(HullDevicesTest, InspectTellsHowMuchIsPinned) {
  const Ended ended = On(
      "for flags in '' '--device 01:00.0' '--device 01:00.0 --annotation hull.dma-pool=32m'; do\n"
      "$HULL create --storage tmpfs --name c1 $flags test true > /dev/null\n"
      "$HULL inspect --format '{{.Hull.MemoryPinned}} {{.Hull.MemoryPinnedBytes}} "
      "{{.Hull.FreePageReporting}} {{.Hull.MemoryBytes}}' c1; $HULL rm c1 > /dev/null; done");
  EXPECT_EQ(ended.out,
            "false 0 true 268435456\ntrue 268435456 false 268435456\n"
            "true 33554432 true 301989888\n")
      << ended.err;
}

TEST_F(HullDevicesTest, ModulesAreForTheAgent) {
  EXPECT_THAT(
      On("$HULL $RUN --device 01:00.0 --annotation hull.modules=bochs,drm_x test sh -c 'cat "
         "$FAKE_RUN/created'")
          .out,
      HasSubstr("module bochs\nmodule drm_x\n"));
}

TEST_F(HullDevicesTest, ADeviceWithoutADriverInTheGuestIsAWarning) {
  const Ended ended = On("$HULL $RUN --device 01:00.0 test echo runs", "no-driver");
  EXPECT_EQ(ended.exit_code, 0);
  EXPECT_EQ(ended.out, "runs\n");
  EXPECT_THAT(ended.err, HasSubstr("device 0000:01:00.0 has no driver in the guest: the container "
                                   "finds it in /sys/bus/pci/devices/0000:00:01.0 alone"));
}

constexpr char kFault[] =
    "fault() { echo \"3,1,1,-;DMAR: [DMA Write NO_PASID] Request device [$1] fault addr 0x30000000 "
    "[fault reason 0x05] PTE Write access is not set\" >> $HULL_HOST_ROOT/dev/kmsg; }\n";

TEST_F(HullDevicesTest, WhatTheIommuRefusedIsToldCountedAndAnEvent) {
  const Ended ended =
      On(std::string(kFault) +
         "fault 02:00.0\n"  // before: not of this run
         "export -f fault\n"
         "$HULL run --storage tmpfs --name c1 --device pci=02:00.0,01:00.0 test bash -c "
         "'fault 02:00.0; fault 02:00.0; fault 04:00.0'\n"
         "$HULL inspect --format '{{json .Hull.Devices}}' c1\n"
         "$HULL events --since 1h --until 0s --filter event=iommu-fault --format "
         "'{{.Actor.Attributes.device}} {{.Actor.Attributes.count}}'\n"
         "$HULL rm c1 > /dev/null");
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
  const size_t line = ended.out.find('\n');
  const json::value devices = json::parse(ended.out.substr(0, line));
  EXPECT_EQ(devices.at(0).at("IommuFaults"), 2);
  EXPECT_EQ(devices.at(1).at("IommuFaults"), 0);
  EXPECT_EQ(ended.out.substr(line + 1), "0000:02:00.0 2\n");
  EXPECT_THAT(ended.err, AllOf(HasSubstr("device 0000:02:00.0: the host's IOMMU refused"),
                               Not(HasSubstr("0000:01:00.0"))));
}

TEST_F(HullDevicesTest, WithoutTheKernelsLogNothingIsCountedAndAllElseWorks) {
  host_.Remove("/dev/kmsg");
  const Ended ended =
      On("$HULL run --storage tmpfs --name c1 --device 01:00.0 test echo runs\n"
         "$HULL inspect --format '{{json .Hull.Devices}}' c1; $HULL rm c1 > /dev/null");
  EXPECT_THAT(ended.out, AllOf(HasSubstr("runs\n"), HasSubstr("\"IommuFaults\":null")))
      << ended.err;
  EXPECT_EQ(ended.err, "");
}

TEST_F(HullDevicesTest, WhoHasADeviceIsSaidAndItIsFreeAfterwards) {
  const Ended ended = On(
      "$HULL run -d --storage tmpfs --name first --device pci=02:00.0 test sleep 60 > /dev/null\n"
      "$HULL device ls --format '{{.Address}} {{.Container}} {{.Fit}}' | head -2\n"
      "$HULL $RUN --device pci=02:00.0 test true; echo $?\n"
      "$HULL $RUN --device pci=02:00.1 test true; echo $?\n"
      "$HULL create --storage tmpfs --name second --device pci=02:00.0 test echo mine > /dev/null\n"
      "$HULL start second; echo $?\n"
      "$HULL rm -f first > /dev/null; $HULL start -a second; $HULL rm second");
  EXPECT_EQ(ended.out,
            "0000:01:00.0  yes, bound\n0000:02:00.0 first in use by container first\n"
            "125\n125\n1\nmine\nsecond\n")
      << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("device 0000:02:00.0 is in use already: container first ("));
  EXPECT_THAT(ended.err, HasSubstr("device 0000:02:00.1: its IOMMU group 2 belongs to one VM at a "
                                   "time, and container first ("));
  EXPECT_THAT(ended.err, HasSubstr("hull stop first frees it; one container can have both: "
                                   "--device pci=0000:02:00.0,0000:02:00.1"));
}

TEST_F(HullDevicesTest, AMachineThatHasItOpenIsNamedByItsContainer) {
  host_.AddProcess(7, "hull-vmm", "/dev/vfio/1");
  EXPECT_THAT(
      Refusal("--device pci=01:00.0"),
      HasSubstr("device 0000:01:00.0: it is in use already: process 7 (hull-vmm), container "
                "0123456789ab uses it"));
}

TEST_F(HullDevicesTest, EveryUsualFailureHasItsOwnWords) {
  EXPECT_THAT(Refusal("--device pci=03:00.0"),
              AllOf(HasSubstr("device 0000:03:00.0 is the host's: its driver is nvme"),
                    HasSubstr("hull device bind 0000:03:00.0")));
  EXPECT_THAT(Refusal("--device pci=09:00.0"), HasSubstr("there is no PCI device 0000:09:00.0"));
  EXPECT_THAT(Refusal("--gpus 2"), HasSubstr("could not select device driver \"\" with "
                                             "capabilities: [[gpu]]"));
  EXPECT_THAT(Refusal("--device vendor.com/gpu=0"),
              HasSubstr("CDI device injection failed: unresolvable CDI devices vendor.com/gpu=0"));
  host_.AddDisk("0000:03:00.0", "nvme0n1", "259:0");
  EXPECT_THAT(Refusal("--device /dev/nvme0n1:/dev/xvda"),
              AllOf(HasSubstr("--device /dev/nvme0n1:/dev/xvda: the container's kernel is not the "
                              "host's"),
                    HasSubstr("hull device bind 0000:03:00.0, then --device pci=0000:03:00.0")));
  EXPECT_THAT(Refusal("--device /dev/vfio/2"), HasSubstr("--device vfio=/dev/vfio/2 passes"));
  host_.Add({.address = "0000:01:00.1", .driver = "snd_hda_intel", .group = 1});
  EXPECT_THAT(Refusal("--device pci=01:00.0"),
              HasSubstr("its IOMMU group 1 also holds 0000:01:00.1 (driver snd_hda_intel)"));
}

TEST_F(HullDevicesTest, MemoryThatCannotBePinnedIsSaidBeforeTheStart) {
  host_.Write("/proc/meminfo", "MemTotal: 1 kB\nMemAvailable:  102400 kB\nSwapFree: 0 kB\n");
  EXPECT_THAT(
      Refusal("--device pci=01:00.0"),
      HasSubstr("memory cannot be pinned: a device needs all 256 MiB of its VM in place, and "
                "this host has 100 MiB to give"));
  host_.Write("/proc/meminfo", "MemAvailable:  1024000 kB\n");
  host_.Write("/proc/self/status", "CapEff:\t0000000000000000\n");
  const Ended limited = On("ulimit -l 1024; $HULL $RUN --device pci=01:00.0 test true");
  EXPECT_EQ(limited.exit_code, 125);
  EXPECT_THAT(limited.err, HasSubstr("this user may lock 1 MiB"));
}

TEST_F(HullDevicesTest, ADeviceThatVanishesBetweenCreateAndStartIsNamed) {
  const Ended made =
      On("$HULL create --storage tmpfs --name c1 --device pci=01:00.0 test true > /dev/null\n"
         "$HULL inspect --format '{{.Hull.MemoryPinned}} {{.Hull.Devices}}' c1");
  ASSERT_EQ(made.out, "true []\n") << made.err;
  host_.Remove("/sys/bus/pci/devices/0000:01:00.0");
  const Ended ended = On("$HULL start -a c1; echo $?; $HULL start c1; echo $?; $HULL rm c1");
  EXPECT_EQ(ended.out, "125\n1\nc1\n");
  EXPECT_THAT(ended.err, HasSubstr("there is no PCI device 0000:01:00.0"));
}

TEST_F(HullDevicesTest, ADeviceThatFailsEndsTheMachineWithItsWords) {
  const Ended ended = On("$HULL $RUN --device pci=01:00.0 test sleep 60", "device-error");
  EXPECT_EQ(ended.exit_code, 125);
  EXPECT_THAT(ended.err, HasSubstr("the virtual machine failed: device 0000:01:00.0 reported a "
                                   "fatal error"));
}

TEST_F(HullDevicesTest, PinningIsShownOnATerminalAndNowhereElse) {
  const Ended shown =
      On("script -qec \"$HULL $RUN --device pci=01:00.0 test echo runs 2> err\" /dev/null; cat err",
         "pinning");
  EXPECT_THAT(shown.out, AllOf(HasSubstr("runs"), Not(HasSubstr("pinning memory"))));
  const Ended terminal =
      On("script -qec \"$HULL $RUN --device pci=01:00.0 test echo runs\" /dev/null", "pinning");
  EXPECT_THAT(terminal.out,
              AllOf(HasSubstr("hull: pinning memory for the device: 3.0 of 4.0 GiB\r\x1b[Kruns"),
                    HasSubstr("1.0 of 4.0 GiB")));
}

TEST_F(HullDevicesTest, CdiBringsEnvironmentGroupsAndFilesOfTheHost) {
  const std::string files = (directory_ / "files").string();
  std::filesystem::create_directories(files + "/lib/sub");
  std::ofstream(files + "/lib/sub/a.so") << std::string(5000, 'l');
  std::ofstream(files + "/tool") << "tool";
  std::filesystem::create_symlink("sub/a.so", files + "/lib/a.so");
  const std::string spec = fmt::format(
      R"({{"cdiVersion":"0.7.0","kind":"v.com/nic","devices":[{{"name":"0","containerEdits":{{
        "env":["NIC=0","PATH=/cdi"],"deviceNodes":[{{"path":"/dev/vfio/1"}}],
        "additionalGids":[1234],
        "mounts":[{{"hostPath":"{0}/lib","containerPath":"/opt/lib","options":["ro","nosuid"]}},
                  {{"hostPath":"{0}/tool","containerPath":"/opt/tool","options":["ro","rbind"]}}]
        }}}},
        {{"name":"w","containerEdits":{{"mounts":[{{"hostPath":"/","containerPath":"/host"}}]}}}},
        {{"name":"gone","containerEdits":{{"mounts":[{{"hostPath":"{0}/gone",
          "containerPath":"/x","options":["ro"]}}]}}}}]}})",
      files);
  host_.Write("/etc/cdi/v.json", spec);
  const Ended ended =
      On("$HULL run --name c1 --storage tmpfs -e NIC=user --device v.com/nic=0 test /bin/sh -c "
         "'/bin/cat "
         "$FAKE_RUN/created; echo $NIC $PATH; /bin/cp $FAKE_RUN/host-files '$PWD/packed; ls "
         "store/containers/*\n"
         "$HULL rm c1 > /dev/null");
  EXPECT_THAT(ended.out, HasSubstr("layer /dev/vda1\ndevice 0000:00:01.0\ngroup 1234\n"
                                   "attachment host-files /dev/vda2\n"))
      << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("0 /cdi\n"));
  EXPECT_THAT(ended.out, AllOf(HasSubstr("container.json\n"), Not(HasSubstr("host-files.erofs"))))
      << "it is left";
  auto packed = images::testing::ReadErofs(Slurp(directory_ / "packed"));
  EXPECT_EQ(packed["0/sub/a.so"].content, std::string(5000, 'l'));
  EXPECT_EQ(packed["0/a.so"].content, "sub/a.so");
  EXPECT_EQ(packed["1"].content, "tool");
  EXPECT_THAT(
      ended.out,
      AllOf(HasSubstr(R"("destination":"/opt/lib","type":"bind","source":"/run/hull/attach)"),
            HasSubstr(R"(/host-files/0","options":["ro","nosuid","nodev","bind"])"),
            HasSubstr(R"(/host-files/1","options":["ro","rbind","nosuid","nodev"])")));
  EXPECT_THAT(Refusal("--device v.com/nic=w"),
              HasSubstr("CDI device injection failed: the mount of / at /host: it is writable"));
  EXPECT_THAT(Refusal("--device v.com/nic=gone"),
              AllOf(HasSubstr("pack the host's files for the container"), HasSubstr("files/gone"),
                    HasSubstr("No such file or directory")));
}

TEST_F(HullDevicesTest, AKilledStartLeavesNoFilesOfTheHost) {
  host_.Write("/etc/cdi/v.json", R"({"cdiVersion":"0.7.0","kind":"v.com/nic","devices":[{"name":"0",
      "containerEdits":{"mounts":[{"hostPath":"/etc/hostname","containerPath":"/x",
      "options":["ro"]}]}}]})");
  const Ended ended =
      On("$HULL create --storage tmpfs --name c1 --device v.com/nic=0 test true > /dev/null\n"
         "$HULL start c1 & starter=$!\n"
         "until [ -e run/*/state.json ]; do sleep 0.05; done 2> /dev/null\n"
         "ls store/containers/*/host-files.erofs | wc -l\n"
         "slay $(jq .supervisor.pid run/*/state.json) $(jq .vmm.pid run/*/state.json)\n"
         "wait $starter; $HULL ps -aq | wc -l\n"
         "ls store/containers/*/host-files.erofs 2> /dev/null | wc -l; $HULL rm c1",
         "silent");
  EXPECT_EQ(ended.out, "1\n1\n0\nc1\n") << ended.err;
}

TEST_F(HullDevicesTest, CompletionOffersWhatCanBePassedAsItIs) {
  const Ended ended =
      On("$HULL __complete -- run --device ''; $HULL __complete -- create --device pci=0000:01\n"
         "$HULL __complete -- run --gpus ''");
  EXPECT_EQ(ended.out,
            "0000:01:00.0\tMaker Thing\n0000:02:00.0\tMaker Thing\n0000:02:00.1\tMaker Thing\n"
            "0000:04:00.0\tMaker Thing\n:none\n"
            "pci=0000:01:00.0\tMaker Thing\n:none\n"
            "all\tEvery display that is bound to vfio-pci\n:none\n")
      << ended.err;
}

}  // namespace
}  // namespace hull
