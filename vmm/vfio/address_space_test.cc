#include "vmm/vfio/address_space.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "tests/fakes/fake_vfio.h"

namespace hull::vfio {
namespace {

constexpr const char kFirst[] = "0000:01:00.0";
constexpr const char kSecond[] = "0000:01:00.1";

GuestRange Range(uint64_t start, uint64_t size_bytes) {
  return *GuestRange::Make(GuestAddress(start), size_bytes);
}

class AddressSpaceTest : public testing::Test {
 protected:
  AddressSpaceTest() { host_.Add(kFirst, FakeVfio::Nvme()); }

  Result<OpenedDevice> Open(const char* address = kFirst) {
    if (!space_) {
      auto made = AddressSpace::Create(host_, address);
      if (!made) return Fail(std::move(made).error());
      space_ = std::move(*made);
    }
    return space_->Open(address);
  }
  // Opens and expects a failure that says `what` and advises `hint`.
  void ExpectRefusal(const char* what, const char* hint) {
    const auto opened = Open();
    ASSERT_FALSE(opened.has_value());
    EXPECT_NE(opened.error().ToString().find(what), std::string::npos) << opened.error().ToString();
    EXPECT_NE(opened.error().hint().find(hint), std::string::npos) << opened.error().hint();
  }

  FakeVfio host_;
  std::unique_ptr<AddressSpace> space_;
};

TEST_F(AddressSpaceTest, GroupIsPutIntoAContainerAndKvmIsToldOfIt) {
  const auto opened = Open();
  ASSERT_TRUE(opened.has_value()) << opened.error().ToString();
  EXPECT_EQ(host_.opened, (std::vector<std::string>{"/dev/vfio/vfio", "/dev/vfio/7", kFirst}));
  EXPECT_GE(opened->kvm_file, 0);
  EXPECT_NE(opened->kvm_file, opened->device.get());
}

TEST_F(AddressSpaceTest, SecondDeviceOfAGroupUsesTheGroupThatIsOpen) {
  host_.Add(kSecond, FakeVfio::Nvme());
  ASSERT_TRUE(Open().has_value());
  const auto second = Open(kSecond);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->kvm_file, -1);
  EXPECT_EQ(std::count(host_.opened.begin(), host_.opened.end(), "/dev/vfio/7"), 1);
}

TEST_F(AddressSpaceTest, MemoryIsMappedAtTheGuestsAddressesWithItsAccess) {
  ASSERT_TRUE(Open().has_value());
  ASSERT_TRUE(space_->Map(Range(0, 0x1000'0000), 0x7000'0000'0000, DmaAccess::kReadWrite));
  ASSERT_TRUE(space_->Map(Range(0x1'0000'0000, 0x1000), 0x7100'0000'0000, DmaAccess::kReadOnly));
  EXPECT_EQ(host_.mappings, (std::vector<FakeVfio::Mapping>{{0, 0x1000'0000, true},
                                                            {0x1'0000'0000, 0x1000, false}}));
}

TEST_F(AddressSpaceTest, MissingModuleIsNamed) {
  host_.has_vfio = false;
  const auto space = AddressSpace::Create(host_, kFirst);
  ASSERT_FALSE(space.has_value());
  EXPECT_NE(space.error().hint().find("vfio-pci"), std::string::npos);
}

TEST_F(AddressSpaceTest, DeviceWithoutAGroupAsksForTheIommu) {
  host_.device(kFirst).group.clear();
  ExpectRefusal("in no IOMMU group", "intel_iommu=on");
}

TEST_F(AddressSpaceTest, DeviceThatIsGoneIsToldApart) {
  for (const bool has_iommufd : {false, true}) {
    host_.has_iommufd = has_iommufd;
    const auto space = AddressSpace::Create(host_, kSecond);
    ASSERT_FALSE(space.has_value());
    EXPECT_EQ(space.error().ToString(), "this host has no PCI device 0000:01:00.1");
    EXPECT_NE(space.error().hint().find("hull device ls"), std::string::npos);
    ASSERT_TRUE(Open().has_value());
    EXPECT_FALSE(Open(kSecond).has_value());
    space_.reset();
  }
}

TEST_F(AddressSpaceTest, DeviceOfAnotherDriverIsToldWithItsName) {
  host_.device(kFirst).driver = "nvme";
  ExpectRefusal("0000:01:00.0 has the driver nvme, and not vfio-pci",
                "bind the device to vfio-pci: hull device bind 0000:01:00.0");
  host_.device(kFirst).driver.clear();
  ExpectRefusal("0000:01:00.0 has no driver, and not vfio-pci", "hull device bind");
}

TEST_F(AddressSpaceTest, GroupThatSomebodyHasIsToldApart) {
  host_.busy_groups = {"7"};
  ExpectRefusal("/dev/vfio/7", "another VM");
}

TEST_F(AddressSpaceTest, GroupSharedWithADeviceInUseIsRefused) {
  host_.unviable_groups = {"7"};
  ExpectRefusal("shares IOMMU group 7", "bind the group's other devices");
}

TEST_F(AddressSpaceTest, IommuWithoutInterruptRemappingIsExplained) {
  host_.set_iommu_error = EPERM;
  ExpectRefusal("VFIO_SET_IOMMU", "remap interrupts");
}

TEST_F(AddressSpaceTest, MemoryThatCannotBePinnedNamesTheLimit) {
  ASSERT_TRUE(Open().has_value());
  host_.map_error = ENOMEM;
  const Status status = space_->Map(Range(0, 0x1000'0000), 0x7000'0000'0000, DmaAccess::kReadWrite);
  ASSERT_FALSE(status.has_value());
  EXPECT_NE(status.error().hint().find("ulimit -l"), std::string::npos);
}

TEST_F(AddressSpaceTest, IommufdIsUsedWhereTheHostHasIt) {
  host_.has_iommufd = true;
  const auto opened = Open();
  ASSERT_TRUE(opened.has_value()) << opened.error().ToString();
  EXPECT_EQ(host_.opened, (std::vector<std::string>{"/dev/iommu", "/dev/vfio/devices/vfio0"}));
  EXPECT_EQ(opened->kvm_file, opened->device.get());
  EXPECT_EQ(host_.device(kFirst).events, (std::vector<std::string>{"bind", "attach 42"}));
  ASSERT_TRUE(space_->Map(Range(0x1000, 0x2000), 0x7000'0000'0000, DmaAccess::kReadOnly));
  EXPECT_EQ(host_.mappings, (std::vector<FakeVfio::Mapping>{{0x1000, 0x2000, false}}));
}

TEST_F(AddressSpaceTest, IommufdSaysWhatIsInTheWay) {
  host_.has_iommufd = true;
  host_.bind_error = EBUSY;
  ExpectRefusal("bind 0000:01:00.0 to iommufd", "another VM");
}

TEST_F(AddressSpaceTest, IommufdThatCannotPinNamesTheLimit) {
  host_.has_iommufd = true;
  ASSERT_TRUE(Open().has_value());
  host_.map_error = ENOMEM;
  const Status status = space_->Map(Range(0, 0x1000), 0x7000'0000'0000, DmaAccess::kReadWrite);
  ASSERT_FALSE(status.has_value());
  EXPECT_NE(status.error().hint().find("LimitMEMLOCK"), std::string::npos);
}

}  // namespace
}  // namespace hull::vfio
