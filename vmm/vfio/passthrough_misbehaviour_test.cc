// What a hostile guest does to a passed-through device, and what a strange device shows.
#include "vmm/vfio/passthrough_fixture.h"

namespace hull::vfio {
namespace {

TEST_F(PassthroughTest, RegionCannotBeMovedAnywhere) {
  Make();
  for (const uint32_t value :
       {0x0U, 0x4U, 0x1000U, 0xfee0'0000U, 0xfec0'0004U, 0xffff'c000U - 1U}) {
    Write(PCI_BASE_ADDRESS_0, 4, value);
    EXPECT_EQ(Read(PCI_BASE_ADDRESS_0, 4), 0x4U) << value;
    Write(PCI_BASE_ADDRESS_1, 4, value);
    EXPECT_EQ(Read(PCI_BASE_ADDRESS_1, 4), 0x10U) << value;
  }
  Write(PCI_BASE_ADDRESS_0 + 1, 1, 0xff);
  Write(PCI_BASE_ADDRESS_0 + 2, 2, 0xabcd);
  EXPECT_EQ(Read(PCI_BASE_ADDRESS_0, 4), 0x4U);
  EXPECT_EQ(function_->Traps()[0].address, kTable);
}

TEST_F(PassthroughTest, ReadOnlyRegistersStayWhatTheyAre) {
  Make();
  std::array<uint32_t, 64> before = {};
  for (uint32_t i = 0; i < 64; ++i) before[i] = Read(4 * i, 4);
  for (const int register_offset :
       {PCI_VENDOR_ID, PCI_CLASS_REVISION, PCI_HEADER_TYPE, PCI_CARDBUS_CIS,
        PCI_SUBSYSTEM_VENDOR_ID, PCI_ROM_ADDRESS, PCI_CAPABILITY_LIST, PCI_INTERRUPT_PIN, 0x40,
        0x44, 0x48, 0x50, 0x62, 0x70, 0x7c}) {
    const auto offset = static_cast<uint32_t>(register_offset);
    Write(offset & ~3U, 1, 0xff);
    Write(offset, 1, 0xff);
    if (offset % 2 == 0) Write(offset, 2, 0xffff & ~0x8000U);
  }
  Write(PCI_CACHE_LINE_SIZE, 2, 0);
  Write(PCI_INTERRUPT_LINE, 1, 0);
  for (uint32_t i = 0; i < 64; ++i) EXPECT_EQ(Read(4 * i, 4), before[i]) << 4 * i;
}

TEST_F(PassthroughTest, BothKindsOfMessagesAtOnceLeaveTheFirst) {
  Make();
  EnableMsix();
  SetUpVector(0, 0xfee0'0000, 0x41);
  Write(kMsi + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
  EXPECT_NE(Raised(VFIO_PCI_MSIX_IRQ_INDEX, 0), nullptr);
  EXPECT_TRUE(device().signals[VFIO_PCI_MSI_IRQ_INDEX].empty());
  Write(kMsi + PCI_MSI_FLAGS, 2, 0);
  EXPECT_NE(Raised(VFIO_PCI_MSIX_IRQ_INDEX, 0), nullptr);
  EXPECT_TRUE(failures_.empty());
}

TEST_F(PassthroughTest, MessageToNowhereRaisesNothingAndTheVmLives) {
  Make();
  EnableMsix();
  SetUpVector(0, interrupts_.refused_address, 0x41);
  EXPECT_EQ(Raised(VFIO_PCI_MSIX_IRQ_INDEX, 0), nullptr);
  Store<uint32_t>(kTable, 0xfee0'0000);
  EXPECT_NE(Raised(VFIO_PCI_MSIX_IRQ_INDEX, 0), nullptr);
  EXPECT_TRUE(failures_.empty());
}

TEST_F(PassthroughTest, OddAccessesToTheTableAreNone) {
  Make();
  EnableMsix();
  SetUpVector(0, 0xfee0'0000, 0x41);
  Store<uint8_t>(kTable, 0x55);
  Store<uint16_t>(kTable + 2, 0x5555);
  Store<uint32_t>(kTable + 2, 0x5555'5555);
  Store<uint64_t>(kTable + 4, 0x5555'5555'5555'5555);
  EXPECT_EQ(Raised(VFIO_PCI_MSIX_IRQ_INDEX, 0)->address, 0xfee0'0000U);
  EXPECT_EQ(Load<uint8_t>(kTable), 0xffU);
  EXPECT_EQ(Load<uint32_t>(kTable + 2), 0xffff'ffffU);
}

TEST_F(PassthroughTest, AccessAcrossTheTablesEndIsNone) {
  Make();
  // Eight vectors: 128 bytes.
  EXPECT_EQ(Load<uint64_t>(kTable + 124), ~uint64_t{0});
  Store<uint64_t>(kTable + 124, 0);
  EXPECT_TRUE(device().region_writes.empty());
  EXPECT_EQ(Load<uint32_t>(kTable + 128), 0xd0d0'd0d0U);
}

TEST_F(PassthroughTest, TableEntryControlKeepsOnlyTheMask) {
  Make();
  Store<uint32_t>(kTable + 12, 0xffff'ffff);
  EXPECT_EQ(Load<uint32_t>(kTable + 12), 1U);
}

TEST_F(PassthroughTest, SwitchingOnAndOffForEverUsesNoMoreRoutes) {
  Make();
  for (int i = 0; i < 100; ++i) {
    EnableMsix();
    SetUpVector(0, 0xfee0'0000, static_cast<uint32_t>(i));
    SetUpVector(1, 0xfee0'1000, static_cast<uint32_t>(i));
    Write(kMsix + 2, 2, 0);
  }
  EXPECT_EQ(interrupts_.next_route, 26U);
  EXPECT_TRUE(interrupts_.connected.empty());
}

TEST_F(PassthroughTest, MoreMsiVectorsThanThereAreGiveThoseThereAre) {
  Make();
  Write(kMsi + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | (7U << 4U));
  EXPECT_EQ(device().signals[VFIO_PCI_MSI_IRQ_INDEX].size(), 4U);
  EXPECT_TRUE(failures_.empty());
}

TEST_F(PassthroughTest, CapabilitiesInACircleEnd) {
  FakeVfioDevice device = FakeVfio::Nvme();
  device.Set(0xc1, 0x40, 1);
  Make(device);
  uint32_t hops = 0;
  for (uint32_t at = Read(PCI_CAPABILITY_LIST, 1); at != 0 && hops < 100; at = Read(at + 1, 1)) {
    ++hops;
  }
  EXPECT_EQ(hops, 4U);
}

TEST_F(PassthroughTest, TableOutsideOfItsRegionIsNotShown) {
  FakeVfioDevice device = FakeVfio::Nvme();
  device.Set(0x44, 0x3ff0, 4);
  Make(device);
  EXPECT_EQ(Read(PCI_CAPABILITY_LIST, 1), kPower);
  EXPECT_TRUE(function_->Traps().empty());
}

TEST_F(PassthroughTest, CapabilityAtTheVeryEndIsNotRead) {
  FakeVfioDevice device = FakeVfio::Nvme();
  device.Set(PCI_CAPABILITY_LIST, 0xfc, 1);
  device.Set(0xfc, PCI_CAP_ID_MSIX, 4);
  Make(device);
  EXPECT_EQ(Read(PCI_CAPABILITY_LIST, 1), 0U);
  EXPECT_EQ(Read(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST, 0U);
}

}  // namespace
}  // namespace hull::vfio
