// The library's small parts: states, names, layouts, sizes, directories, disks.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "runtime/container_id.h"
#include "runtime/device_layout.h"
#include "runtime/host_places.h"
#include "runtime/image_process.h"
#include "runtime/machine_size.h"
#include "runtime/process_identity.h"
#include "runtime/scratch_disk.h"
#include "vmm/base/file.h"

namespace hull {
namespace {

class TemporaryHost : public testing::Test {
 protected:
  TemporaryHost() {
    std::string pattern = testing::TempDir() + "hull.XXXXXX";
    directory_ = mkdtemp(pattern.data());
    layout_.store_root = directory_ + "/store";
    layout_.run_root = directory_ + "/run";
  }
  ~TemporaryHost() override { EXPECT_EQ(system(("rm -rf " + directory_).c_str()), 0); }

  static bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

  std::string directory_;
  HostLayout layout_;
};

class HostPlaces : public testing::Test {
 protected:
  static constexpr const char* kVariables[] = {"XDG_DATA_HOME", "XDG_RUNTIME_DIR", "HOME"};
  HostPlaces() {
    for (const char* name : kVariables) {
      const char* value = getenv(name);
      if (value != nullptr) before_[name] = value;
      unsetenv(name);
    }
  }
  ~HostPlaces() override {
    for (const char* name : kVariables) unsetenv(name);
    for (const auto& [name, value] : before_) setenv(name.c_str(), value.c_str(), 1);
  }
  static std::string Of(uid_t user) { return StoreRootOf(user) + " " + RunRootOf(user); }
  std::map<std::string, std::string> before_;
};

TEST_F(HostPlaces, AreTheHostsForRootAndOnesOwnWithout) {
  setenv("HOME", "/home/u", 1);
  EXPECT_EQ(Of(0), "/var/lib/hull /run/hull");
  EXPECT_EQ(Of(7), "/home/u/.local/share/hull /run/user/7/hull");
  setenv("XDG_DATA_HOME", "/data", 1);
  setenv("XDG_RUNTIME_DIR", "/runtime", 1);
  EXPECT_EQ(Of(0), "/var/lib/hull /run/hull");
  EXPECT_EQ(Of(7), "/data/hull /runtime/hull");
}
TEST_F(HostPlaces, OfOneWithoutAHomeAreTheHosts) {
  EXPECT_EQ(Of(7), "/var/lib/hull /run/user/7/hull");
  // XDG: what is not absolute counts for nothing.
  setenv("XDG_DATA_HOME", "data", 1);
  EXPECT_EQ(Of(7), "/var/lib/hull /run/user/7/hull");
}

TEST(ContainerId, IsRandomHexadecimal) {
  const std::string a = NewContainerId().value();
  const std::string b = NewContainerId().value();
  EXPECT_TRUE(IsContainerId(a));
  EXPECT_NE(a, b);
  EXPECT_FALSE(IsContainerId(a.substr(1)));
  EXPECT_FALSE(IsContainerId(std::string(64, 'g')));
  EXPECT_FALSE(IsContainerId(".."));
}

TEST(Process, IsKnownByPidAndStartTime) {
  const ProcessIdentity self = IdentifyProcess(getpid()).value();
  EXPECT_TRUE(IsAlive(self));
  EXPECT_FALSE(IsAlive({self.pid, self.start_time + 1}));
  EXPECT_TRUE(KillAndWait({self.pid, self.start_time + 1}, 100))
      << "another process must not be touched";
}
TEST(Process, KillAndWaitEndsIt) {
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  const ProcessIdentity identity = IdentifyProcess(child).value();
  EXPECT_TRUE(KillAndWait(identity, 5000));
  EXPECT_FALSE(IsAlive(identity));
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
}

TEST(ImageProcess, ReadsWhatIsThere) {
  const Result<ImageProcess> process = ParseImageProcess(
      R"({"config":{"Entrypoint":["/e"],"Cmd":["c","d"],"Env":["A=b"],"WorkingDir":"/w","User":"u:g","StopSignal":"SIGINT"}})");
  ASSERT_TRUE(process);
  EXPECT_EQ(process->entrypoint, (std::vector<std::string>{"/e"}));
  EXPECT_EQ(process->command, (std::vector<std::string>{"c", "d"}));
  EXPECT_EQ(process->user, "u:g");
  EXPECT_EQ(process->stop_signal, "SIGINT");
  EXPECT_TRUE(ParseImageProcess("{}"));
  EXPECT_TRUE(ParseImageProcess(R"({"config":null})"));
  EXPECT_TRUE(ParseImageProcess(R"({"config":{"Cmd":null}})"));
}
TEST(ImageProcess, WrongTypesAreRefused) {
  for (const char* text :
       {"", "[]", R"({"config":1})", R"({"config":{"Cmd":"x"}})", R"({"config":{"Env":[1]}})",
        R"({"config":{"User":[]}})", R"({"config":{"WorkingDir":"/a\u0000b"}})"}) {
    EXPECT_FALSE(ParseImageProcess(text)) << text;
  }
}

TEST(DeviceLayout, LayersArePmemPartitionsBehindTheGuestRoot) {
  const DeviceLayout layout =
      MakeDeviceLayout("root", {{"a", "pa", 10}, {"b", "pb", 20}}, "scratch", 64U << 20U).value();
  ASSERT_EQ(layout.pmem.size(), 2U);
  EXPECT_EQ(layout.pmem[0].path, "root");
  ASSERT_EQ(layout.pmem[1].partitions.size(), 2U);
  EXPECT_EQ(layout.pmem[1].partitions[1].path, "pb");
  EXPECT_EQ(layout.layers,
            (std::vector<LayerDevice>{{"/dev/pmem1p1", true}, {"/dev/pmem1p2", true}}));
  EXPECT_EQ(layout.scratch_device, "/dev/vda");
}
TEST(DeviceLayout, OneLayerIsTheDeviceItself) {
  const DeviceLayout layout = MakeDeviceLayout("root", {{"a", "pa", 10}}, "", 64U << 20U).value();
  EXPECT_EQ(layout.pmem[1].path, "pa");
  EXPECT_EQ(layout.layers, (std::vector<LayerDevice>{{"/dev/pmem1", true}}));
  EXPECT_TRUE(layout.block.empty());
  EXPECT_EQ(layout.scratch_device, "");
}
TEST(DeviceLayout, LargeImagesGoToADisk) {
  const uint64_t memory = 64U << 20U;
  const std::vector<LayerFile> fits = {{"a", "pa", memory}, {"b", "pb", memory}};
  EXPECT_TRUE(MakeDeviceLayout("root", fits, "", memory)->layers[0].dax);
  const std::vector<LayerFile> large = {{"a", "pa", memory}, {"b", "pb", memory + 1}};
  const DeviceLayout layout = MakeDeviceLayout("root", large, "scratch", memory).value();
  EXPECT_EQ(layout.layers, (std::vector<LayerDevice>{{"/dev/vda1", false}, {"/dev/vda2", false}}));
  EXPECT_TRUE(layout.block[0].read_only);
  EXPECT_EQ(layout.scratch_device, "/dev/vdb");
  EXPECT_FALSE(layout.block[1].read_only);
  const std::vector<LayerFile> lies = {{"a", "pa", UINT64_MAX}, {"b", "pb", UINT64_MAX}};
  EXPECT_FALSE(MakeDeviceLayout("root", lies, "", memory)->layers[0].dax);
}
TEST(DeviceLayout, TooManyLayersAreRefused) {
  const std::vector<LayerFile> many(256, {"a", "pa", 1});
  EXPECT_FALSE(MakeDeviceLayout("root", many, "", 64U << 20U));
  EXPECT_FALSE(MakeDeviceLayout("root", {}, "", 64U << 20U));
}

TEST(MachineSize, CpusAreRoundedUp) {
  EXPECT_EQ(SizeMachine({}, 0, 4)->cpus, 1U);
  EXPECT_EQ(SizeMachine({.nano_cpus = 1'500'000'000}, 0, 4)->cpus, 2U);
  EXPECT_EQ(SizeMachine({.nano_cpus = 4'000'000'000}, 0, 4)->cpus, 4U);
  EXPECT_FALSE(SizeMachine({.nano_cpus = 4'000'000'001}, 0, 4));
  EXPECT_FALSE(SizeMachine({.nano_cpus = 9'999'999}, 0, 4));
  EXPECT_FALSE(SizeMachine({.nano_cpus = 33'000'000'000}, 0, 64));
}
TEST(MachineSize, MemoryHasRoomForTheGuest) {
  EXPECT_EQ(SizeMachine({}, 0, 1)->memory_bytes, kDefaultMemoryBytes);
  EXPECT_GE(SizeMachine({.memory_bytes = 512U << 20U}, 0, 1)->memory_bytes,
            (512U << 20U) + kGuestMemoryBytes);
  EXPECT_EQ(SizeMachine({.memory_bytes = 6'291'456}, 0, 1)->memory_bytes % (2U << 20U), 0U);
  EXPECT_FALSE(SizeMachine({.memory_bytes = 6'291'455}, 0, 1));
  EXPECT_FALSE(SizeMachine({.memory_bytes = UINT64_MAX}, 0, 1));
}

TEST_F(TemporaryHost, SparseCopyKeepsContentAndHoles) {
  const std::string from_path = directory_ + "/from";
  const UniqueFd from = OpenFile(from_path, O_RDWR | O_CREAT, 0600).value();
  constexpr off_t kSize = 64 << 20;
  ASSERT_EQ(ftruncate(from.get(), kSize), 0);
  const std::string zeros(1 << 20, '\0');
  ASSERT_EQ(pwrite(from.get(), "head", 4, 0), 4);
  ASSERT_EQ(pwrite(from.get(), zeros.data(), zeros.size(), 8 << 20),
            static_cast<ssize_t>(zeros.size()));
  ASSERT_EQ(pwrite(from.get(), "tail", 4, kSize - 4), 4);
  for (const Zeros mode : {Zeros::kCopy, Zeros::kSkip}) {
    const std::string to_path = directory_ + (mode == Zeros::kCopy ? "/copy" : "/skip");
    const UniqueFd to = OpenFile(to_path, O_RDWR | O_CREAT, 0600).value();
    ASSERT_TRUE(CopySparse(from.get(), to.get(), mode));
    EXPECT_EQ(system(("cmp " + from_path + " " + to_path).c_str()), 0);
    struct stat status {};
    ASSERT_EQ(fstat(to.get(), &status), 0);
    const auto allocated = status.st_blocks * 512;
    EXPECT_LT(allocated, mode == Zeros::kCopy ? 2 << 20 : 128 << 10);
  }
}
TEST_F(TemporaryHost, ScratchDiskIsACleanFileSystem) {
  if (!Exists("/usr/sbin/mkfs.ext4") && !Exists("/sbin/mkfs.ext4")) GTEST_SKIP() << "no mkfs.ext4";
  for (const ScratchKind kind : {ScratchKind::kThrowaway, ScratchKind::kKept}) {
    const std::string path = directory_ + (kind == ScratchKind::kKept ? "/kept" : "/throwaway");
    const Status made = MakeScratchDisk(layout_, path, 1ULL << 30U, kind);
    ASSERT_TRUE(made) << made.error().ToString();
    EXPECT_EQ(
        system(("PATH=$PATH:/usr/sbin:/sbin e2fsck -fn " + path + " >/dev/null 2>&1").c_str()), 0);
    struct stat status {};
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_size, 1LL << 30U);
    EXPECT_LT(status.st_blocks * 512, 2 << 20);
  }
  EXPECT_FALSE(MakeScratchDisk(layout_, directory_ + "/kept", 1ULL << 30U, ScratchKind::kKept))
      << "exists";
}

}  // namespace
}  // namespace hull
