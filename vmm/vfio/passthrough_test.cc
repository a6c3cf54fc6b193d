#include "vmm/vfio/passthrough.h"

#include "vmm/vfio/passthrough_fixture.h"

namespace hull::vfio {
namespace {

using Events = std::vector<std::string>;

TEST_F(PassthroughTest, IdentityIsTheDevices) {
  Make();
  EXPECT_EQ(Read(PCI_VENDOR_ID, 4), 0x00101b36U);
  EXPECT_EQ(Read(PCI_CLASS_REVISION, 4), 0x01080202U);
  EXPECT_EQ(Read(PCI_INTERRUPT_PIN, 1), 1U);
}

TEST_F(PassthroughTest, RegionIsWhereHullPutItAndHasItsSize) {
  Make();
  EXPECT_EQ(Read(PCI_BASE_ADDRESS_0, 4), 0x4U);
  EXPECT_EQ(Read(PCI_BASE_ADDRESS_1, 4), 0x10U);
  Write(PCI_BASE_ADDRESS_0, 4, 0xffff'ffff);
  Write(PCI_BASE_ADDRESS_1, 4, 0xffff'ffff);
  EXPECT_EQ(Read(PCI_BASE_ADDRESS_0, 4), 0xffff'c004U);
  EXPECT_EQ(Read(PCI_BASE_ADDRESS_1, 4), 0xffff'ffffU);
  Write(PCI_BASE_ADDRESS_0, 4, 0x4);
  Write(PCI_BASE_ADDRESS_1, 4, 0x10);
  EXPECT_EQ(Read(PCI_BASE_ADDRESS_0, 4), 0x4U);
  EXPECT_EQ(Read(PCI_BASE_ADDRESS_1, 4), 0x10U);
  EXPECT_EQ(Read(PCI_BASE_ADDRESS_2, 4), 0U);
  EXPECT_EQ(Read(PCI_ROM_ADDRESS, 4), 0U);
}

TEST_F(PassthroughTest, RegionIsMappedButForTheTablesPage) {
  Make();
  std::vector<GuestRange> ranges;
  for (const HostMappings::Mapping& mapping : function_->mappings()) {
    EXPECT_NE(mapping.host_address, 0U);
    ranges.push_back(mapping.range);
  }
  EXPECT_EQ(ranges,
            (std::vector<GuestRange>{*GuestRange::Make(GuestAddress(kBar), 0x1000),
                                     *GuestRange::Make(GuestAddress(kBar + 0x2000), 0x2000)}));
  ASSERT_EQ(function_->Traps().size(), 1U);
  EXPECT_EQ(function_->Traps()[0].address, kTable);
  EXPECT_EQ(function_->Traps()[0].size_bytes, 0x1000U);
  function_.reset();
  EXPECT_EQ(host_.mapped_regions, 0);
}

TEST_F(PassthroughTest, RegionIsMappedWhereTheHostAllowsIt) {
  FakeVfioDevice device = FakeVfio::Nvme();
  device.sparse = {{0, 0x1000}, {0x3000, 0x1000}};
  Make(device);
  EXPECT_EQ(function_->mappings().size(), 2U);
  ASSERT_EQ(function_->Traps().size(), 1U);
  EXPECT_EQ(function_->Traps()[0].size_bytes, 0x2000U);
  EXPECT_EQ(Load<uint32_t>(kBar + 0x2000), 0xd0d0'd0d0U);
}

TEST_F(PassthroughTest, PortsAndRegionsThatCannotBeMappedAreCarriedOver) {
  FakeVfioDevice device = FakeVfio::Nvme();
  device.Set(PCI_BASE_ADDRESS_2, 0xc001, 4);
  device.bar_bytes[2] = 32;
  device.Set(PCI_BASE_ADDRESS_3, 0xfe000000, 4);
  device.bar_bytes[3] = 4096;
  device.bar_mappable[3] = false;
  Make(device);
  EXPECT_EQ(Read(PCI_BASE_ADDRESS_2, 4), 0x1001U);
  Write(PCI_BASE_ADDRESS_2, 4, 0xffff'ffff);
  EXPECT_EQ(Read(PCI_BASE_ADDRESS_2, 4), 0xffff'ffe1U);
  const auto [ports, offset] = TrapAt(0x1008);
  ASSERT_NE(ports, nullptr);
  const std::array<std::byte, 2> data = {};
  ports->Write(offset, data);
  EXPECT_EQ(this->device().region_writes, (std::vector<std::pair<uint64_t, size_t>>{{8, 2}}));
}

TEST_F(PassthroughTest, GuestIsShownTheCapabilitiesThatHullKnows) {
  Make();
  EXPECT_NE(Read(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST, 0U);
  std::vector<uint32_t> ids;
  for (uint32_t at = Read(PCI_CAPABILITY_LIST, 1); at != 0; at = Read(at + 1, 1)) {
    ids.push_back(Read(at, 1));
  }
  EXPECT_EQ(
      ids, (std::vector<uint32_t>{PCI_CAP_ID_MSIX, PCI_CAP_ID_PM, PCI_CAP_ID_EXP, PCI_CAP_ID_MSI}));
  EXPECT_EQ(Read(0x50, 4), 0U);
}

TEST_F(PassthroughTest, ExpressDeviceIsAnEndpointOfTheRootComplexWithoutALink) {
  Make();
  EXPECT_EQ((Read(kExpress + PCI_EXP_FLAGS, 2) & PCI_EXP_FLAGS_TYPE) >> 4U,
            uint32_t{PCI_EXP_TYPE_RC_END});
  EXPECT_EQ(Read(kExpress + PCI_EXP_DEVCAP, 4), 0x10008fc0U);
  EXPECT_EQ(Read(kExpress + PCI_EXP_LNKCAP, 4), 0U);
  Write(kExpress + PCI_EXP_DEVCTL, 2, 0x2810);
  EXPECT_EQ(device().Get(kExpress + PCI_EXP_DEVCTL, 2), 0x2810U);
  Write(kExpress + PCI_EXP_LNKCTL, 2, 0x3);
  EXPECT_EQ(device().Get(kExpress + PCI_EXP_LNKCTL, 2), 0U);
}

TEST_F(PassthroughTest, DeviceGoesOnToReportItsErrorsWhereTheHostHadThatOn) {
  FakeVfioDevice shape = FakeVfio::Nvme();
  shape.Set(PCI_COMMAND, PCI_COMMAND_SERR | PCI_COMMAND_MASTER, 2);
  shape.Set(kExpress + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_NFERE, 2);
  Make(std::move(shape));
  constexpr uint32_t kCommand = PCI_COMMAND_SERR | PCI_COMMAND_MEMORY | PCI_COMMAND_IO;
  EXPECT_EQ(device().Get(PCI_COMMAND, 2), kCommand);
  Write(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
  EXPECT_EQ(Read(PCI_COMMAND, 2), uint32_t{PCI_COMMAND_MASTER});
  EXPECT_EQ(device().Get(PCI_COMMAND, 2), kCommand | PCI_COMMAND_MASTER);
  for (const size_t size_bytes : {1U, 2U, 4U}) {
    Write(kExpress + PCI_EXP_DEVCTL, size_bytes, 0x10);
    EXPECT_EQ(device().Get(kExpress + PCI_EXP_DEVCTL, 2), 0x16U) << size_bytes;
  }
  Write(kExpress + PCI_EXP_DEVCTL + 1, 1, 0x20);
  EXPECT_EQ(device().Get(kExpress + PCI_EXP_DEVCTL, 2), 0x2016U);
}

TEST_F(PassthroughTest, DeviceDecodesMemoryWhateverTheGuestSays) {
  Make();
  EXPECT_EQ(Read(PCI_COMMAND, 2), 0U);
  EXPECT_EQ(device().events.front(), "command 0x3");
  Write(PCI_COMMAND, 2, PCI_COMMAND_MASTER);
  EXPECT_EQ(Read(PCI_COMMAND, 2), uint32_t{PCI_COMMAND_MASTER});
  EXPECT_EQ(device().Get(PCI_COMMAND, 2), 7U);
  Write(PCI_COMMAND, 2, 0);
  EXPECT_EQ(device().Get(PCI_COMMAND, 2), 3U);
}

TEST_F(PassthroughTest, PowerStateIsReadBackAndNeverReachesTheDevice) {
  Make();
  Write(kPower + PCI_PM_CTRL, 2, 3);
  EXPECT_EQ(Read(kPower + PCI_PM_CTRL, 2) & PCI_PM_CTRL_STATE_MASK, 3U);
  EXPECT_EQ(device().Get(kPower + PCI_PM_CTRL, 2), 0U);
}

TEST_F(PassthroughTest, LineIsUsedUntilMessagesAreAndAgainAfterThem) {
  Make();
  EXPECT_TRUE(LineIsOn());
  EnableMsix();
  EXPECT_FALSE(LineIsOn());
  EXPECT_EQ(interrupts_.line, -1);
  Write(kMsix + 2, 2, 0);
  EXPECT_TRUE(LineIsOn());
  EXPECT_EQ(device().events, (Events{"command 0x3", "errors on", "requests on", "intx on",
                                     "intx off", "msix on", "msix off", "intx on"}));
}

TEST_F(PassthroughTest, DeviceWithoutALineOfTheGuestsShowsNone) {
  Make(FakeVfio::Nvme(), false);
  EXPECT_EQ(Read(PCI_INTERRUPT_PIN, 1), 0U);
  EXPECT_TRUE(device().signals[VFIO_PCI_INTX_IRQ_INDEX].empty());
}

TEST_F(PassthroughTest, VectorRaisesWhatTheGuestWroteIntoTheTable) {
  Make();
  EnableMsix();
  SetUpVector(3, 0xfee0'1000, 0x41);
  ASSERT_NE(Raised(VFIO_PCI_MSIX_IRQ_INDEX, 3), nullptr);
  EXPECT_EQ(*Raised(VFIO_PCI_MSIX_IRQ_INDEX, 3),
            (MsiMessage{.address = 0xfee0'1000, .data = 0x41}));
  EXPECT_EQ(Raised(VFIO_PCI_MSIX_IRQ_INDEX, 0), nullptr);
  EXPECT_EQ(Load<uint64_t>(kTable + 48), 0xfee0'1000U);
  EXPECT_EQ(Load<uint32_t>(kTable + 56), 0x41U);
}

TEST_F(PassthroughTest, TableWrittenBeforeMsixIsEnabledCounts) {
  Make();
  SetUpVector(1, 0xfee0'0000, 0x31);
  EXPECT_EQ(Raised(VFIO_PCI_MSIX_IRQ_INDEX, 1), nullptr);
  EnableMsix();
  EXPECT_NE(Raised(VFIO_PCI_MSIX_IRQ_INDEX, 1), nullptr);
}

TEST_F(PassthroughTest, MaskedVectorKeepsItsEventUntilItIsUnmasked) {
  Make();
  EnableMsix();
  SetUpVector(0, 0xfee0'0000, 0x41);
  const int event_fd = device().signals[VFIO_PCI_MSIX_IRQ_INDEX].at(0);
  Store<uint32_t>(kTable + 12, 1);
  EXPECT_EQ(Raised(VFIO_PCI_MSIX_IRQ_INDEX, 0), nullptr);
  EXPECT_EQ(device().signals[VFIO_PCI_MSIX_IRQ_INDEX].at(0), event_fd);
  Store<uint32_t>(kTable + 8, 0x51);
  Store<uint32_t>(kTable + 12, 0);
  ASSERT_NE(Raised(VFIO_PCI_MSIX_IRQ_INDEX, 0), nullptr);
  EXPECT_EQ(Raised(VFIO_PCI_MSIX_IRQ_INDEX, 0)->data, 0x51U);
  EXPECT_EQ(interrupts_.next_route, 25U);
}

TEST_F(PassthroughTest, WholeTableCanBeMasked) {
  Make();
  EnableMsix();
  SetUpVector(0, 0xfee0'0000, 0x41);
  Write(kMsix + 2, 2, 0xc000);
  EXPECT_EQ(Raised(VFIO_PCI_MSIX_IRQ_INDEX, 0), nullptr);
  Write(kMsix + 2, 2, 0x8000);
  EXPECT_NE(Raised(VFIO_PCI_MSIX_IRQ_INDEX, 0), nullptr);
}

TEST_F(PassthroughTest, HostThatCannotAddVectorsGetsAllAtOnce) {
  FakeVfioDevice device = FakeVfio::Nvme();
  device.msix_can_grow = false;
  Make(device);
  EnableMsix();
  EXPECT_EQ(this->device().signals[VFIO_PCI_MSIX_IRQ_INDEX].size(), 8U);
  SetUpVector(7, 0xfee0'0000, 0x41);
  EXPECT_NE(Raised(VFIO_PCI_MSIX_IRQ_INDEX, 7), nullptr);
  EXPECT_TRUE(failures_.empty());
}

TEST_F(PassthroughTest, MsiVectorsHaveTheirNumberInTheLowBits) {
  Make();
  Write(kMsi + PCI_MSI_ADDRESS_LO, 4, 0xfee0'2000);
  Write(kMsi + PCI_MSI_DATA_64, 2, 0x40);
  Write(kMsi + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | (2U << 4U));
  for (uint32_t i = 0; i < 4; ++i) {
    ASSERT_NE(Raised(VFIO_PCI_MSI_IRQ_INDEX, i), nullptr) << i;
    EXPECT_EQ(*Raised(VFIO_PCI_MSI_IRQ_INDEX, i),
              (MsiMessage{.address = 0xfee0'2000, .data = 0x40 + i}));
  }
  Write(kMsi + PCI_MSI_MASK_64, 4, 2);
  EXPECT_EQ(Raised(VFIO_PCI_MSI_IRQ_INDEX, 1), nullptr);
  EXPECT_NE(Raised(VFIO_PCI_MSI_IRQ_INDEX, 0), nullptr);
}

TEST_F(PassthroughTest, EndStopsInterruptsThenTransactionsThenResets) {
  Make();
  EnableMsix();
  SetUpVector(0, 0xfee0'0000, 0x41);
  Write(PCI_COMMAND, 2, 6);
  device().events.clear();
  function_->Stop();
  EXPECT_EQ(device().events,
            (Events{"msix off", "command 0x403", "errors off", "requests off", "reset"}));
  EXPECT_TRUE(interrupts_.connected.empty());
  device().events.clear();
  Write(PCI_COMMAND, 2, 6);
  EnableMsix();
  EXPECT_EQ(device().events, Events{});
}

TEST_F(PassthroughTest, DeviceThatCannotBeResetIsStoppedAllTheSame) {
  FakeVfioDevice device = FakeVfio::Nvme();
  device.can_reset = false;
  Make(device);
  this->device().events.clear();
  function_->Stop();
  EXPECT_EQ(this->device().events,
            (Events{"intx off", "command 0x403", "errors off", "requests off"}));
}

TEST_F(PassthroughTest, BridgeIsRefused) {
  FakeVfioDevice device = FakeVfio::Nvme();
  device.Set(PCI_HEADER_TYPE, PCI_HEADER_TYPE_BRIDGE, 1);
  const Status status = TryMake(device);
  ASSERT_FALSE(status.has_value());
  EXPECT_NE(status.error().ToString().find("bridge"), std::string::npos);
}

TEST_F(PassthroughTest, DeviceThatHasVanishedIsRefused) {
  FakeVfioDevice device = FakeVfio::Nvme();
  device.config.fill(0xff);
  const Status status = TryMake(device);
  ASSERT_FALSE(status.has_value());
  EXPECT_NE(status.error().ToString().find("does not answer"), std::string::npos);
}

}  // namespace
}  // namespace hull::vfio
