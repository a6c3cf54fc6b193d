#include "vmm/machine/system_control.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

namespace hull {
namespace {

class RecordedEvents final : public SystemEvents {
 public:
  void OnPowerOff() override { events += "off "; }
  void OnReset() override { events += "reset "; }
  void OnPanic() override { events += "panic "; }
  void OnPanicDriverFound() override { events += "driver "; }

  std::string events;
};

template <typename T>
void Put(BusDevice& device, uint64_t offset, T value) {
  device.Write(offset, std::as_bytes(std::span(&value, 1)));
}

template <typename T>
T Get(BusDevice& device, uint64_t offset) {
  T value;
  std::memset(&value, 0xaa, sizeof(value));
  device.Read(offset, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

class SystemControlTest : public testing::Test {
 protected:
  RecordedEvents recorded_;
  SystemControlPage page_{recorded_};
  ResetPort reset_{recorded_};
  KeyboardPort keyboard_{recorded_};
};

TEST_F(SystemControlTest, PowerRegisterTakesItsTwoValues) {
  EXPECT_EQ(Get<uint32_t>(page_, 0), 0U);
  Put<uint32_t>(page_, 0, 0);
  Put<uint32_t>(page_, 0, 0xffff'ffff);
  EXPECT_EQ(recorded_.events, "");
  Put<uint32_t>(page_, 0, SystemControlPage::kPowerOffValue);
  Put<uint32_t>(page_, 0, SystemControlPage::kResetValue);
  EXPECT_EQ(recorded_.events, "off reset ");
}

TEST_F(SystemControlTest, PanicRegisterFollowsPvpanic) {
  EXPECT_EQ(Get<uint8_t>(page_, 0x800), 1);
  EXPECT_EQ(recorded_.events, "driver ");
  Put<uint8_t>(page_, 0x800, 1);
  EXPECT_EQ(recorded_.events, "driver panic ");
  Put<uint8_t>(page_, 0x800, 2);  // "crash kernel loaded": not offered
  EXPECT_EQ(recorded_.events, "driver panic ");
}

TEST_F(SystemControlTest, StrangeAccessesDoNothing) {
  for (const uint64_t offset : {1U, 2U, 4U, 16U, 0x7ffU, 0x801U, 0xff8U}) {
    Put<uint64_t>(page_, offset, UINT64_MAX);
    Put<uint8_t>(page_, offset, 0x55);
    EXPECT_EQ(Get<uint64_t>(page_, offset), 0U) << offset;
  }
  Put<uint64_t>(page_, 0, SystemControlPage::kPowerOffValue);
  Put<uint16_t>(page_, 0, SystemControlPage::kPowerOffValue);
  Put<uint32_t>(page_, 0x800, 1);
  const std::array<std::byte, 3> odd = {};
  page_.Write(0, odd);
  EXPECT_EQ(recorded_.events, "");
}

TEST_F(SystemControlTest, ResetPortWantsItsResetBit) {
  Put<uint8_t>(reset_, 0, 0x02);
  EXPECT_EQ(recorded_.events, "");
  Put<uint8_t>(reset_, 0, 0x06);
  EXPECT_EQ(recorded_.events, "reset ");
  EXPECT_EQ(Get<uint8_t>(reset_, 0), 0);
}

TEST_F(SystemControlTest, KeyboardControllerIsNeverBusyAndResets) {
  EXPECT_EQ(Get<uint8_t>(keyboard_, 0), 0);
  Put<uint8_t>(keyboard_, 0, 0xd1);
  EXPECT_EQ(recorded_.events, "");
  Put<uint8_t>(keyboard_, 0, 0xfe);
  EXPECT_EQ(recorded_.events, "reset ");
}

}  // namespace
}  // namespace hull
