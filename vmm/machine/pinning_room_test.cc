#include "vmm/machine/pinning_room.h"

#include <gtest/gtest.h>

namespace hull {
namespace {

constexpr const char kOrdinary[] =
    "Name:\tx\nCapPrm:\tffffffffffffffff\nCapEff:\t0000000000000000\n";
constexpr const char kPrivileged[] = "Name:\tx\nCapEff:\t0000000000004000\n";
constexpr const char kMemory[] =
    "MemTotal:        2048 kB\nMemAvailable:    1024 kB\nSwapTotal: 0 kB\nSwapFree:  512 kB\n";

TEST(PinningRoomTest, LimitCountsUnlessTheProcessMayExceedIt) {
  EXPECT_EQ(PinningRoom::Read(4096, kOrdinary, "").lockable_bytes, 4096U);
  EXPECT_EQ(PinningRoom::Read(UINT64_MAX, kOrdinary, "").lockable_bytes, std::nullopt);
  EXPECT_EQ(PinningRoom::Read(4096, kPrivileged, "").lockable_bytes, std::nullopt);
  EXPECT_EQ(PinningRoom::Read(4096, "", "").lockable_bytes, 4096U);
}

TEST(PinningRoomTest, AvailableIsMemoryAndSwapSpace) {
  EXPECT_EQ(PinningRoom::Read(0, "", kMemory).available_bytes, 1536U * 1024);
  EXPECT_EQ(PinningRoom::Read(0, "", "MemTotal: 5 kB\n").available_bytes, std::nullopt);
  EXPECT_EQ(PinningRoom::Read(0, "", "MemAvailable: much\n").available_bytes, std::nullopt);
  EXPECT_EQ(PinningRoom::Read(0, "", "MemAvailable:").available_bytes, std::nullopt);
}

TEST(PinningRoomTest, LimitThatIsTooLowIsToldWithFiguresAndWhatToDo) {
  const PinningRoom room = {.lockable_bytes = 8U << 20U, .available_bytes = 64ULL << 30U};
  EXPECT_TRUE(room.Check(8U << 20U));
  const Status status = room.Check(512U << 20U);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().ToString(),
            "512 MiB are to be pinned for its devices, and this process may lock 8 MiB "
            "(RLIMIT_MEMLOCK)");
  EXPECT_NE(status.error().hint().find("ulimit -l"), std::string::npos);
}

TEST(PinningRoomTest, MemoryThatTheHostLacksIsToldWithFigures) {
  const PinningRoom room = {.lockable_bytes = std::nullopt, .available_bytes = 2ULL << 30U};
  EXPECT_TRUE(room.Check(2ULL << 30U));
  const Status status = room.Check(64ULL << 30U);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().ToString(),
            "65536 MiB are to be pinned for its devices, and the host has 2048 MiB available");
  EXPECT_NE(status.error().hint().find("less memory"), std::string::npos);
}

TEST(PinningRoomTest, WhatIsNotKnownRefusesNothing) {
  EXPECT_TRUE((PinningRoom{std::nullopt, std::nullopt}.Check(1ULL << 44U)));
}

TEST(PinningRoomTest, ThisProcessHasSome) {
  EXPECT_GT(PinningRoom::OfThisProcess().available_bytes.value_or(0), 0U);
}

}  // namespace
}  // namespace hull
