#include "vmm/virtio/vsock/credit.h"

#include <gtest/gtest.h>

namespace hull::vsock {
namespace {

TEST(GuestCreditTest, NothingMayBeSentBeforeTheGuestHasSaidHowMuch) {
  EXPECT_EQ(GuestCredit().free_bytes(), 0U);
}

TEST(GuestCreditTest, SendingUsesUpAndForwardingGivesBack) {
  GuestCredit credit;
  ASSERT_TRUE(credit.Update(100, 0));
  credit.OnSent(60);
  EXPECT_EQ(credit.free_bytes(), 40U);
  ASSERT_TRUE(credit.Update(100, 50));
  EXPECT_EQ(credit.free_bytes(), 90U);
}

TEST(GuestCreditTest, AGuestMayShrinkItsBufferBelowWhatIsInFlight) {
  GuestCredit credit;
  ASSERT_TRUE(credit.Update(100, 0));
  credit.OnSent(80);
  ASSERT_TRUE(credit.Update(50, 0));
  EXPECT_EQ(credit.free_bytes(), 0U);
  ASSERT_TRUE(credit.Update(50, 70));
  EXPECT_EQ(credit.free_bytes(), 40U);
}

TEST(GuestCreditTest, ReceivingMoreThanWasSentIsALie) {
  GuestCredit credit;
  ASSERT_TRUE(credit.Update(100, 0));
  credit.OnSent(10);
  EXPECT_FALSE(credit.Update(100, 11));
  EXPECT_TRUE(credit.Update(100, 10));
}

TEST(GuestCreditTest, AnOvertakenPacketDoesNotTakeBackWhatANewerOneSaid) {
  GuestCredit credit;
  ASSERT_TRUE(credit.Update(100, 0));
  credit.OnSent(80);
  ASSERT_TRUE(credit.Update(100, 80));
  ASSERT_TRUE(credit.Update(100, 30));
  EXPECT_EQ(credit.free_bytes(), 100U);
}

TEST(GuestCreditTest, CountersWrapAt32Bits) {
  GuestCredit credit;
  uint32_t forwarded = 0;
  // 5 GiB in steps of the largest buffer that there is.
  for (int i = 0; i < 80; ++i) {
    ASSERT_TRUE(credit.Update(64U << 20U, forwarded));
    ASSERT_EQ(credit.free_bytes(), 64U << 20U);
    credit.OnSent(64U << 20U);
    EXPECT_EQ(credit.free_bytes(), 0U);
    forwarded += 64U << 20U;
  }
}

TEST(HostCreditTest, TheGuestMaySendWhatItWasGrantedAndNoByteMore) {
  HostCredit credit(100);
  EXPECT_TRUE(credit.OnReceived(60));
  EXPECT_FALSE(credit.OnReceived(41));
  EXPECT_TRUE(credit.OnReceived(40));
  EXPECT_FALSE(credit.OnReceived(1));
  credit.OnForwarded(1);
  EXPECT_TRUE(credit.OnReceived(1));
}

TEST(HostCreditTest, HugeLengthIsRefused) {
  HostCredit credit(100);
  EXPECT_TRUE(credit.OnReceived(50));
  EXPECT_FALSE(credit.OnReceived(UINT32_MAX));
  EXPECT_EQ(credit.held(), 50U);
}

TEST(HostCreditTest, UpdateIsDueWhenHalfOfTheBufferIsFreeAndNotAnnounced) {
  HostCredit credit(100);
  ASSERT_TRUE(credit.OnReceived(100));
  credit.OnForwarded(49);
  EXPECT_FALSE(credit.update_due());
  credit.OnForwarded(1);
  EXPECT_TRUE(credit.update_due());
  EXPECT_EQ(credit.Announce(), 50U);
  EXPECT_FALSE(credit.update_due());
}

}  // namespace
}  // namespace hull::vsock
