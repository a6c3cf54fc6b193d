// What a hostile guest does to a passed-through device, and what a strange device shows.
#include <array>

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

TEST_F(PassthroughTest, WritesToEveryRegisterLeaveTheDeviceOnAndInItsPlace) {
  Make();
  constexpr uint32_t kOn = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;
  for (const size_t size_bytes : {1U, 2U, 4U}) {
    for (uint32_t offset = 0; offset + size_bytes <= 256; ++offset) {
      SCOPED_TRACE(fmt::format("{} bytes at {:#x}", size_bytes, offset));
      for (const uint32_t value : {0xffff'ffffU, 0x0U, 0xa5a5'a5a5U, 0x5a5a'5a5aU}) {
        Write(offset, size_bytes, value);
        Read(offset, size_bytes);
        ASSERT_EQ(device().Get(PCI_COMMAND, 2) & kOn, kOn);
        ASSERT_EQ(device().Get(kPower + PCI_PM_CTRL, 2) & PCI_PM_CTRL_STATE_MASK, 0U);
        ASSERT_EQ(device().Get(PCI_BASE_ADDRESS_0, 4), 0xfebf'0004U);
        ASSERT_EQ(function_->Traps()[0].address, kTable);
      }
      Write(offset, size_bytes, 0);
    }
  }
  EXPECT_EQ(Read(PCI_VENDOR_ID, 4), 0x0010'1b36U);
  EXPECT_EQ(Read(PCI_BASE_ADDRESS_0, 4), 0x4U);
  EXPECT_EQ(Read(PCI_BASE_ADDRESS_1, 4), 0x10U);
  EXPECT_TRUE(failures_.empty());
}

TEST_F(PassthroughTest, AccessesOfEverySizeAroundTheTableReachNeitherItsEndNorTheDevicesOwn) {
  Make();
  EnableMsix();
  constexpr uint64_t kEnd = kTable + 8 * uint64_t{16};
  std::array<std::byte, 8> data;
  for (size_t size_bytes = 1; size_bytes <= data.size(); ++size_bytes) {
    for (uint64_t at = kTable; at < kEnd + 16; ++at) {
      const auto [trap, offset] = TrapAt(at);
      ASSERT_NE(trap, nullptr);
      for (const std::byte fill : {std::byte{0xff}, std::byte{0}}) {
        data.fill(fill);
        trap->Write(offset, std::span(data).first(size_bytes));
        trap->Read(offset, std::span(data).first(size_bytes));
      }
    }
  }
  // The device's own table is the host's: what is behind it in the page is all that came there.
  for (const auto& [offset, size_bytes] : device().region_writes) {
    EXPECT_GE(offset, kEnd - kBar) << size_bytes;
  }
  EXPECT_FALSE(device().region_writes.empty());
  EXPECT_EQ(Load<uint32_t>(kTable + 12), 0U);
  EXPECT_TRUE(failures_.empty());
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
