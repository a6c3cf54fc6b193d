#include "vmm/pci/config_ports.h"

#include <gtest/gtest.h>
#include <linux/pci_regs.h>

#include <cstring>
#include <vector>

#include "vmm/pci/config_space.h"
#include "vmm/pci/host_bridge.h"

namespace hull::pci {
namespace {

class FakeReset final : public BusDevice {
 public:
  void Read(uint64_t /*offset*/, std::span<std::byte> data) override { data[0] = std::byte{0x5a}; }
  void Write(uint64_t /*offset*/, std::span<const std::byte> data) override {
    written.push_back(data[0]);
  }
  std::vector<std::byte> written;
};

// All of its registers can be changed.
class OpenFunction final : public Function {
 public:
  OpenFunction() {
    for (uint32_t at = 0; at < kConfigBytes; at += 4) space.SetWritable(at, 4, ~uint32_t{0});
  }
  uint32_t ReadConfig(uint32_t offset, size_t size_bytes) override {
    return space.Read(offset, size_bytes);
  }
  void WriteConfig(uint32_t offset, size_t size_bytes, uint32_t value) override {
    space.Write(offset, size_bytes, value);
  }
  ConfigSpace space;
};

class ConfigPortsTest : public testing::Test {
 protected:
  ConfigPortsTest() {
    ports_.Insert(0, bridge_);
    ports_.Insert(5, function_);
  }
  template <typename T>
  T In(uint64_t port) {
    T value = {};
    ports_.Read(port - ConfigPorts::kPort, std::as_writable_bytes(std::span(&value, 1)));
    return value;
  }
  template <typename T>
  void Out(uint64_t port, T value) {
    ports_.Write(port - ConfigPorts::kPort, std::as_bytes(std::span(&value, 1)));
  }
  void Select(uint32_t slot, uint32_t offset) {
    Out<uint32_t>(0xcf8, 0x8000'0000U | slot << 11U | offset);
  }

  FakeReset reset_;
  HostBridge bridge_;
  OpenFunction function_;
  ConfigPorts ports_{reset_};
};

TEST_F(ConfigPortsTest, ProbeOfLinuxFindsTheMechanismAndTheBridge) {
  Out<uint8_t>(0xcfb, 1);
  const auto before = In<uint32_t>(0xcf8);
  Out<uint32_t>(0xcf8, 0x8000'0000);
  EXPECT_EQ(In<uint32_t>(0xcf8), 0x8000'0000U);
  EXPECT_EQ(before, 0U);
  Select(0, PCI_CLASS_DEVICE & ~3U);
  EXPECT_EQ(In<uint16_t>(0xcfe), 0x0600U);
  Select(0, 0);
  EXPECT_EQ(In<uint32_t>(0xcfc), 0x00081b36U);
}

TEST_F(ConfigPortsTest, BytesAndWordsReachTheirRegister) {
  Select(5, 0x40);
  Out<uint32_t>(0xcfc, 0x4433'2211);
  EXPECT_EQ(In<uint8_t>(0xcfe), 0x33U);
  Out<uint16_t>(0xcfe, 0xbbaa);
  EXPECT_EQ(function_.space.Read(0x40, 4), 0xbbaa'2211U);
}

TEST_F(ConfigPortsTest, AccessesAcrossTheDwordAreNone) {
  Select(5, 0x40);
  Out<uint32_t>(0xcfe, 0x1111'1111);
  Out<uint16_t>(0xcff, 0x1111);
  EXPECT_EQ(function_.space.Read(0x40, 4), 0U);
  EXPECT_EQ(function_.space.Read(0x44, 4), 0U);
  EXPECT_EQ(In<uint32_t>(0xcfd), 0xffff'ffffU);
}

TEST_F(ConfigPortsTest, EmptySlotsOtherBusesFunctionsAndExtendedRegistersReadAsOnes) {
  Select(6, 0);
  EXPECT_EQ(In<uint32_t>(0xcfc), 0xffff'ffffU);
  for (const uint32_t bits : {1U << 16U, 1U << 8U, 1U << 24U}) {
    Out<uint32_t>(0xcf8, 0x8000'0000U | 5U << 11U | bits);
    EXPECT_EQ(In<uint32_t>(0xcfc), 0xffff'ffffU) << bits;
    Out<uint32_t>(0xcfc, 0x1234);
  }
  Out<uint32_t>(0xcf8, 5U << 11U);
  EXPECT_EQ(In<uint32_t>(0xcfc), 0xffff'ffffU);
  EXPECT_EQ(function_.space.Read(0, 4), 0U);
}

TEST_F(ConfigPortsTest, ByteAt0xcf9IsTheResetPorts) {
  Out<uint8_t>(0xcf9, 6);
  EXPECT_EQ(reset_.written, std::vector<std::byte>{std::byte{6}});
  EXPECT_EQ(In<uint8_t>(0xcf9), 0x5aU);
  Out<uint32_t>(0xcf8, 0x8000'0604);
  EXPECT_EQ(reset_.written.size(), 1U);
}

TEST_F(ConfigPortsTest, BridgeCannotBeChanged) {
  std::vector<uint32_t> before;
  for (uint32_t at = 0; at < kConfigBytes; at += 4) before.push_back(bridge_.ReadConfig(at, 4));
  for (uint32_t at = 0; at < kConfigBytes; at += 4) bridge_.WriteConfig(at, 4, ~uint32_t{0});
  for (uint32_t at = 0; at < kConfigBytes; at += 4) {
    EXPECT_EQ(bridge_.ReadConfig(at, 4), before[at / 4]);
  }
}

}  // namespace
}  // namespace hull::pci
