#include "runtime/host_check.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>

#include "vmm/base/file.h"

namespace hull {
namespace {

class HostCheckTest : public testing::Test {
 protected:
  HostCheckTest() {
    std::string pattern = testing::TempDir() + "hull-check.XXXXXX";
    root_ = mkdtemp(pattern.data());
    layout_.store_root = root_ + "/var/lib/hull";
    layout_.vmm_program = root_ + "/hull-vmm";
    layout_.kernel = root_ + "/vmlinux";
    layout_.guest_root = root_ + "/guest.erofs";
  }
  ~HostCheckTest() override { EXPECT_EQ(system(("rm -rf " + root_).c_str()), 0); }

  void Write(const std::string& path, std::string_view text) {
    const std::string full = root_ + path;
    ASSERT_TRUE(MakeDirectories(full.substr(0, full.rfind('/')), 0700));
    ASSERT_TRUE(WriteFileAtomically(full, text, 0600));
  }
  Finding Get(const std::string& name) {
    const std::vector<Finding> findings = CheckHost(layout_, root_);
    const auto found = std::find_if(findings.begin(), findings.end(),
                                    [&](const Finding& finding) { return finding.name == name; });
    return found == findings.end() ? Finding{"(none)", Grade::kOk, {}, {}, false} : *found;
  }

  std::string root_;
  HostLayout layout_;
};

TEST_F(HostCheckTest, AnEmptyHostMissesEverythingAndSaysWhatToDo) {
  for (const char* name : {"kvm device", "processor", "cgroup v2", "skopeo", "mkfs.ext4",
                           "hull-vmm", "guest kernel", "guest root"}) {
    const Finding finding = Get(name);
    EXPECT_EQ(finding.grade, Grade::kMissing) << name;
    EXPECT_FALSE(finding.remedy.empty()) << name;
  }
  // Only who passes devices through needs it.
  EXPECT_EQ(Get("kernel for devices").grade, Grade::kOff);
  EXPECT_NE(Get("kernel for devices").remedy.find("--profile pci"), std::string::npos);
  EXPECT_FALSE(Get("kernel for devices").required);
  EXPECT_TRUE(Get("kvm device").required);
  EXPECT_FALSE(Get("skopeo").required);
}
TEST_F(HostCheckTest, IntelWithEptIsSeen) {
  Write("/dev/kvm", "");
  Write("/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vmx sse\nmodel : x\n");
  Write("/sys/module/kvm_intel/parameters/ept", "Y\n");
  Write("/sys/module/kvm_intel/parameters/unrestricted_guest", "Y\n");
  EXPECT_EQ(Get("kvm device").grade, Grade::kOk);
  EXPECT_EQ(Get("processor").detail, "Intel VT-x");
  EXPECT_EQ(Get("nested paging").grade, Grade::kOk);
  Write("/sys/module/kvm_intel/parameters/unrestricted_guest", "N\n");
  EXPECT_EQ(Get("nested paging").grade, Grade::kSlow);
}
TEST_F(HostCheckTest, AmdWithNptIsSeen) {
  Write("/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu sse svm\n");
  Write("/sys/module/kvm_amd/parameters/npt", "1\n");
  EXPECT_EQ(Get("processor").detail, "AMD-V");
  EXPECT_EQ(Get("nested paging").detail, "NPT");
}
TEST_F(HostCheckTest, FlagsOfOtherNamesAreNotTaken) {
  Write("/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vmx_x xsvm\nbugs : vmx svm\n");
  EXPECT_EQ(Get("processor").grade, Grade::kMissing);
}
TEST_F(HostCheckTest, SlowSettingsAreNamed) {
  Write("/sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
  Write("/proc/self/mounts", "none /sys/fs/cgroup cgroup2 rw,relatime 0 0\n");
  EXPECT_EQ(Get("cgroup v2").grade, Grade::kOk);
  EXPECT_EQ(Get("favordynmods").grade, Grade::kSlow);
  Write("/proc/self/mounts", "none /sys/fs/cgroup cgroup2 rw,favordynmods 0 0\n");
  EXPECT_EQ(Get("favordynmods").grade, Grade::kOk);
  Write("/sys/module/kvm/parameters/nx_huge_pages", "Y\n");
  EXPECT_EQ(Get("kvm.nx_huge_pages").grade, Grade::kSlow);
  Write("/sys/module/kvm/parameters/nx_huge_pages", "never\n");
  EXPECT_EQ(Get("kvm.nx_huge_pages").grade, Grade::kOk);
  Write("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
  EXPECT_EQ(Get("transparent huge pages").grade, Grade::kSlow);
  Write("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
  EXPECT_EQ(Get("transparent huge pages").grade, Grade::kOk);
}
TEST_F(HostCheckTest, WithoutAnIommuTheCommandLineForThisProcessorIsNamed) {
  EXPECT_EQ(Get("iommu").grade, Grade::kOff);
  Write("/proc/cpuinfo", "vendor_id\t: AuthenticAMD\n");
  EXPECT_NE(Get("iommu").remedy.find("amd_iommu=on"), std::string::npos) << Get("iommu").remedy;
  Write("/proc/cpuinfo", "vendor_id\t: GenuineIntel\n");
  EXPECT_NE(Get("iommu").remedy.find("intel_iommu=on"), std::string::npos) << Get("iommu").remedy;
  // What hangs on it is not asked then.
  EXPECT_EQ(Get("devices").name, "(none)");
}
TEST_F(HostCheckTest, IommuGroupsAndRemappingAreSeen) {
  Write("/sys/kernel/iommu_groups/0/type", "DMA");
  Write("/proc/interrupts", " 0: 1  IO-APIC 2-edge timer\n");
  EXPECT_EQ(Get("iommu").detail, "1 groups");
  EXPECT_EQ(Get("interrupt remapping").grade, Grade::kOff);
  Write("/proc/interrupts", " 0: 1  IR-IO-APIC 2-edge timer\n");
  EXPECT_EQ(Get("interrupt remapping").grade, Grade::kOk);
  Write("/sys/class/iommu/dmar0/name", "");
  EXPECT_EQ(Get("iommu").detail, "VT-d, 1 groups");
  EXPECT_EQ(
      Get("devices").detail,
      "0 can be passed through, 0 bound to vfio-pci, 0 share a group with one that the host uses");
  EXPECT_EQ(Get("devices").grade, Grade::kOff);
  EXPECT_EQ(Get("vfio-pci").grade, Grade::kOff);
  Write("/proc/sys/kernel/osrelease", "6.12\n");
  Write("/lib/modules/6.12/kernel/drivers/vfio/pci/vfio-pci.ko.xz", "");
  EXPECT_EQ(Get("vfio-pci").detail, "can be loaded");
}

}  // namespace
}  // namespace hull
