#include "vmm/bus/bus.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>
#include <vector>

namespace hull {
namespace {

// Answers with its tag and remembers what was asked.
class Recorder final : public BusDevice {
 public:
  explicit Recorder(uint8_t tag) : tag_(tag) {}

  void Read(uint64_t offset, std::span<std::byte> data) override {
    reads.emplace_back(offset, data.size());
    for (std::byte& byte : data) byte = std::byte{tag_};
  }
  void Write(uint64_t offset, std::span<const std::byte> data) override {
    writes.emplace_back(offset, data.size());
  }

  std::vector<std::pair<uint64_t, size_t>> reads;
  std::vector<std::pair<uint64_t, size_t>> writes;

 private:
  const uint8_t tag_;
};

class BusTest : public testing::Test {
 protected:
  // The device that answers a read, or 0xff.
  uint8_t Asked(uint64_t address, size_t size = 1) {
    std::array<std::byte, 8> data = {};
    const bool found = bus_.Read(address, std::span(data).first(size));
    EXPECT_EQ(found, data[0] != std::byte{0xff});
    return std::to_integer<uint8_t>(data[0]);
  }

  Recorder one_{1};
  Recorder two_{2};
  Recorder three_{3};
  Bus bus_;
};

TEST_F(BusTest, EmptyBusReadsAllOnesAndLosesWrites) {
  EXPECT_EQ(Asked(0), 0xff);
  EXPECT_FALSE(bus_.Write(0, {}));
}

TEST_F(BusTest, AccessReachesTheDeviceThatHoldsAllOfIt) {
  // Out of order, neighbours without a gap, one with.
  ASSERT_TRUE(bus_.Insert(0x2000, 0x1000, two_, "two"));
  ASSERT_TRUE(bus_.Insert(0x1000, 0x1000, one_, "one"));
  ASSERT_TRUE(bus_.Insert(0x8000, 0x10, three_, "three"));
  EXPECT_EQ(Asked(0xfff), 0xff);
  EXPECT_EQ(Asked(0x1000), 1);
  EXPECT_EQ(Asked(0x1ffc, 4), 1);
  EXPECT_EQ(Asked(0x1ffd, 4), 0xff);  // across two devices
  EXPECT_EQ(Asked(0x2000), 2);
  EXPECT_EQ(Asked(0x2fff), 2);
  EXPECT_EQ(Asked(0x3000), 0xff);
  EXPECT_EQ(Asked(0x7fff, 2), 0xff);
  EXPECT_EQ(Asked(0x800c, 4), 3);
  EXPECT_EQ(Asked(0x800d, 4), 0xff);
  EXPECT_EQ(Asked(UINT64_MAX, 8), 0xff);
  EXPECT_EQ(one_.reads, (std::vector<std::pair<uint64_t, size_t>>{{0, 1}, {0xffc, 4}}));

  const std::array<std::byte, 2> data = {};
  EXPECT_TRUE(bus_.Write(0x8002, data));
  EXPECT_EQ(three_.writes, (std::vector<std::pair<uint64_t, size_t>>{{2, 2}}));
}

TEST_F(BusTest, OverlapsAreRefusedAndNamed) {
  ASSERT_TRUE(bus_.Insert(0x1000, 0x1000, one_, "one"));
  for (const auto& [base, size] : std::vector<std::pair<uint64_t, uint64_t>>{
           {0x1000, 0x1000}, {0xfff, 2}, {0x1fff, 1}, {0, 0x10000}, {0x1800, 1}, {0x1000, 1}}) {
    const Status status = bus_.Insert(base, size, two_, "two");
    ASSERT_FALSE(status) << base;
    EXPECT_EQ(status.error().code(), ErrorCode::kAlreadyExists);
  }
  EXPECT_EQ(bus_.Insert(0xfff, 2, two_, "two").error().message(),
            "two at 0xfff overlaps one at 0x1000");
  EXPECT_TRUE(bus_.Insert(0x2000, 1, two_, "two"));
  EXPECT_TRUE(bus_.Insert(0xfff, 1, three_, "three"));
}

TEST_F(BusTest, EmptyAndWrappingRangesAreRefused) {
  EXPECT_EQ(bus_.Insert(0, 0, one_, "one").error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(bus_.Insert(UINT64_MAX, 2, one_, "one").error().code(), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace hull
