#include "runtime/devices/iommu_faults.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "runtime/devices/fake_host_fixture.h"
#include "vmm/base/file.h"

namespace hull::devices {
namespace {

using testing::ElementsAre;

constexpr PciAddress kDevice = {0, 1, 0, 0};
constexpr PciAddress kSibling = {0, 1, 0, 1};
constexpr PciAddress kElsewhere = {0x10000, 0xe1, 0x1f, 7};

constexpr char kIntelWrite[] =
    "3,700,1000,-;DMAR: [DMA Write NO_PASID] Request device [01:00.0] fault addr 0x30000000 "
    "[fault reason 0x05] PTE Write access is not set\n";

TEST(IsFaultOf, IntelsLinesNameTheDevice) {
  EXPECT_TRUE(IsFaultOf(kIntelWrite, kDevice));
  EXPECT_FALSE(IsFaultOf(kIntelWrite, kSibling));
  EXPECT_TRUE(
      IsFaultOf("3,1,2,-;DMAR: [DMA Read PASID 0x7] Request device [e1:1f.7] fault addr "
                "0x9876543000 [fault reason 0x06] PTE Read access is not set\n",
                kElsewhere));
  EXPECT_TRUE(
      IsFaultOf("3,1,2,-;DMAR: [INTR-REMAP] Request device [01:00.0] fault index 0x0 [fault "
                "reason 0x25] Blocked a compatibility format interrupt request\n",
                kDevice));
}

TEST(IsFaultOf, AmdsLinesNameTheDeviceBeforeOrWithinTheMessage) {
  const char* const before =
      "3,9,1,-;vfio-pci 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0011 "
      "address=0x30000000 flags=0x0020]\n SUBSYSTEM=pci\n DEVICE=+pci:0000:01:00.0\n";
  EXPECT_TRUE(IsFaultOf(before, kDevice));
  EXPECT_FALSE(IsFaultOf(before, kSibling));
  EXPECT_TRUE(
      IsFaultOf("3,9,1,-;AMD-Vi: Event logged [IO_PAGE_FAULT device=10000:e1:1f.7 "
                "domain=0x0000 address=0x0 flags=0x0]\n",
                kElsewhere));
  EXPECT_TRUE(
      IsFaultOf("3,9,1,-;pci 0000:00:00.2: AMD-Vi: Event logged [INVALID_DEVICE_REQUEST "
                "device=0000:01:00.1 pasid=0x00000 address=0xfee00000 flags=0x0]\n",
                kSibling));
}

TEST(IsFaultOf, OtherLinesAreNone) {
  for (const char* const line : {
           "3,1,2,-;DMAR: DRHD: handling fault status reg 2\n",
           "6,1,2,-;pci 0000:01:00.0: AMD-Vi: Event logged [ILLEGAL_DEV_TABLE_ENTRY x]\n",
           "6,1,2,-;vfio-pci 0000:01:00.0: enabling device (0000 -> 0002)\n",
           " DMAR: [DMA Write NO_PASID] Request device [01:00.0] fault addr 0x0\n",
           "",
           "\n",
           ";",
           "DMAR: [DMA Write NO_PASID] Request device [01:00.0] fault addr 0x0",
       }) {
    EXPECT_FALSE(IsFaultOf(line, kDevice)) << line;
  }
}

TEST(IsFaultOf, WhatAProgramWroteIntoTheLogIsNone) {
  // LOG_USER (1 << 3) and level 3.
  std::string record = kIntelWrite;
  record.replace(0, 1, "11");
  EXPECT_FALSE(IsFaultOf(record, kDevice));
}

class IommuFaultLogTest : public testing::Test {
 protected:
  void SetUp() override { host_.Write("/dev/kmsg", "old\n"); }

  void Say(std::string_view record) {
    const Result<UniqueFd> log = OpenFile(host_.Path("/dev/kmsg"), O_WRONLY | O_APPEND);
    ASSERT_TRUE(log && WriteAll(log->get(), record));
  }

  FakeHost host_;
};

TEST_F(IommuFaultLogTest, WhatWasToldBeforeItWasOpenedDoesNotCount) {
  Say(kIntelWrite);
  Result<IommuFaultLog> log = IommuFaultLog::Open(host_.tree());
  ASSERT_TRUE(log) << log.error().ToString();
  EXPECT_THAT(log->Take({kDevice}), ElementsAre(0));
  Say(std::string(kIntelWrite) + " SUBSYSTEM=pci\n" + kIntelWrite);
  EXPECT_THAT(log->Take({kSibling, kDevice}), ElementsAre(0, 2));
  EXPECT_THAT(log->Take({kSibling, kDevice}), ElementsAre(0, 0));
}

TEST_F(IommuFaultLogTest, ALogThatIsNotThereIsAnError) {
  host_.Remove("/dev/kmsg");
  const Result<IommuFaultLog> log = IommuFaultLog::Open(host_.tree());
  ASSERT_FALSE(log);
  EXPECT_THAT(log.error().ToString(), testing::HasSubstr("/dev/kmsg"));
}

}  // namespace
}  // namespace hull::devices
