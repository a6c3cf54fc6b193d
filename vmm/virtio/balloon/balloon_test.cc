#include "vmm/virtio/balloon/balloon.h"

#include <gtest/gtest.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/fakes/device_faults.h"
#include "tests/fakes/device_harness.h"

namespace hull {
namespace {

constexpr uint16_t kInflate = 0;
constexpr uint16_t kDeflate = 1;
constexpr uint16_t kReporting = 2;
constexpr uint64_t kPage = GuestMemory::kPageBytes;
constexpr uint64_t kRequests = 0;  // in Counters()
constexpr uint64_t kBytes = 1;

class BalloonTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(harness_.Activate()); }

  // Pages of the guest that the rings are in, and of the one that the device knows: two guests, so
  // that page numbers and addresses cannot be mistaken for each other.
  GuestAddress Used(FakeGuest& guest, uint64_t pages) {
    const GuestAddress at = guest.Allocate(pages * kPage, kPage);
    guest.Write(at, std::string(pages * kPage, 'x'));
    return at;
  }
  static std::string Content(FakeGuest& guest, GuestAddress at, uint64_t pages) {
    return guest.Read(at, pages * kPage);
  }
  FakeRing::Used Serve(uint16_t queue) {
    EXPECT_TRUE(harness_.Notify(queue));
    return harness_.ring(queue).TakeUsed().value_or(FakeRing::Used{.id = 0, .length = UINT32_MAX});
  }
  uint64_t Counter(size_t which) const { return balloon_.Counters()[which].value; }
  void Inflate(const std::vector<uint32_t>& numbers) {
    std::string bytes;
    for (const uint32_t number : numbers) bytes += BytesOf(number);
    harness_.ring(kInflate).Chain().Readable(bytes).Submit();
    EXPECT_EQ(Serve(kInflate).length, 0U);
  }

  FakeGuest known_;
  Balloon balloon_{known_.memory()};
  DeviceHarness harness_{balloon_};
};

const std::string& Zeroes() {
  static const std::string page(kPage, '\0');
  return page;
}

const std::string& Full() {
  static const std::string page(kPage, 'x');
  return page;
}

TEST_F(BalloonTest, OffersReportingAndWantsNoPages) {
  EXPECT_EQ(balloon_.device_id(), uint32_t{VIRTIO_ID_BALLOON});
  EXPECT_EQ(balloon_.features(), uint64_t{1} << VIRTIO_BALLOON_F_REPORTING);
  EXPECT_EQ(balloon_.queue_sizes().size(), 3U);
  EXPECT_GE(balloon_.queue_sizes()[kReporting], 32U) << "Linux refuses less";
  EXPECT_EQ(harness_.ReadConfig<uint32_t>(offsetof(virtio_balloon_config, num_pages)), 0U);
}

TEST_F(BalloonTest, ReportedBlocksAreEmptyAfterwardsAndTheirNeighboursAreNot) {
  const GuestAddress first = Used(harness_.guest(), 4);
  const GuestAddress second = Used(harness_.guest(), 1);
  const GuestAddress kept = Used(harness_.guest(), 1);
  harness_.ring(kReporting).Chain().WritableAt(first, 4 * kPage).WritableAt(second, kPage).Submit();
  EXPECT_EQ(Serve(kReporting).length, 0U) << "nothing is written into a reported block";
  for (uint64_t page = 0; page < 4; ++page) {
    EXPECT_EQ(harness_.guest().Read(*first.Add(page * kPage), kPage), Zeroes()) << page;
  }
  EXPECT_EQ(Content(harness_.guest(), second, 1), Zeroes());
  EXPECT_EQ(Content(harness_.guest(), kept, 1), Full());
  EXPECT_EQ(Counter(kRequests), 1U);
  EXPECT_EQ(Counter(kBytes), 5 * kPage);
}

TEST_F(BalloonTest, InflatedPagesAreEmptyAfterwards) {
  const GuestAddress at = Used(known_, 3);
  const auto number = static_cast<uint32_t>(at.value() / kPage);
  Inflate({number + 2, number});
  EXPECT_EQ(known_.Read(at, kPage), Zeroes());
  EXPECT_EQ(known_.Read(*at.Add(kPage), kPage), Full());
  EXPECT_EQ(known_.Read(*at.Add(2 * kPage), kPage), Zeroes());
  EXPECT_EQ(Counter(kBytes), 2 * kPage);
}

TEST_F(BalloonTest, DeflatingChangesNothing) {
  const GuestAddress at = Used(known_, 1);
  harness_.ring(kDeflate)
      .Chain()
      .Readable(BytesOf(static_cast<uint32_t>(at.value() / kPage)))
      .Submit();
  EXPECT_EQ(Serve(kDeflate).length, 0U);
  EXPECT_EQ(known_.Read(at, kPage), Full());
}

TEST_F(BalloonTest, ManyRequestsAreServedWithOneInterrupt) {
  for (int i = 0; i < 10; ++i) harness_.ring(kReporting).Chain().Writable(kPage).Submit();
  ASSERT_TRUE(harness_.Notify(kReporting));
  EXPECT_EQ(harness_.ring(kReporting).used_index(), 10);
  EXPECT_EQ(harness_.signals().used_buffers, 1);
}

// What a guest gets that does not keep to the specification, and cannot harm with.
TEST_F(BalloonTest, PartsOfPagesStay) {
  const GuestAddress at = Used(harness_.guest(), 3);
  harness_.ring(kReporting).Chain().WritableAt(*at.Add(1), 2 * kPage).Submit();
  Serve(kReporting);
  EXPECT_EQ(harness_.guest().Read(at, kPage), Full());
  EXPECT_EQ(harness_.guest().Read(*at.Add(kPage), kPage), Zeroes());
  EXPECT_EQ(harness_.guest().Read(*at.Add(2 * kPage), kPage), Full());
  harness_.ring(kReporting).Chain().WritableAt(*at.Add(2 * kPage), kPage - 1).Submit();
  Serve(kReporting);
  EXPECT_EQ(harness_.guest().Read(*at.Add(2 * kPage), kPage), Full());
}

TEST_F(BalloonTest, ReadableBlocksAreNotReported) {
  const GuestAddress at = Used(harness_.guest(), 1);
  harness_.ring(kReporting).Chain().ReadableAt(at, kPage).Submit();
  EXPECT_EQ(Serve(kReporting).length, 0U);
  EXPECT_EQ(Content(harness_.guest(), at, 1), Full());
}

TEST_F(BalloonTest, ReportsOfADriverThatDidNotAcceptThemChangeNothing) {
  ASSERT_TRUE(harness_.Reset());
  ASSERT_TRUE(harness_.Activate(DeviceHarness::kRingFeatures));
  const GuestAddress at = Used(harness_.guest(), 1);
  harness_.ring(kReporting).Chain().WritableAt(at, kPage).Submit();
  EXPECT_EQ(Serve(kReporting).length, 0U);
  EXPECT_EQ(Content(harness_.guest(), at, 1), Full());
}

TEST_F(BalloonTest, TheRingItselfMayBeReported) {
  FakeRing& ring = harness_.ring(kReporting);
  const GuestAddress page(ring.available_ring().value() & ~(kPage - 1));
  ring.Chain().WritableAt(page, kPage).Submit();
  // What it finds afterwards is zeroes: an index that went back. A fault of the guest's own.
  static_cast<void>(balloon_.OnQueueNotified(QueueIndex{kReporting}));
  EXPECT_TRUE(harness_.Reset());
}

TEST_F(BalloonTest, PagesThatAreNotThereOrReadOnlyAreLeftOut) {
  const GuestAddress at = Used(known_, 1);
  Inflate({UINT32_MAX, static_cast<uint32_t>(FakeGuest::kHole / kPage),
           static_cast<uint32_t>(FakeGuest::kReadOnly / kPage),
           static_cast<uint32_t>(at.value() / kPage)});
  EXPECT_EQ(known_.Read(at, kPage), Zeroes()) << "those before it did not stop it";
  EXPECT_EQ(Counter(kBytes), kPage);
}

TEST_F(BalloonTest, OneRequestInflatesByNoMoreThanTheCap) {
  const uint64_t pages = Balloon::kMaximumPages + 1;
  const GuestAddress at = Used(known_, pages);
  std::vector<uint32_t> numbers;
  for (uint64_t page = 0; page < pages; ++page) {
    numbers.push_back(static_cast<uint32_t>(at.value() / kPage + page));
  }
  Inflate(numbers);
  EXPECT_EQ(Counter(kBytes), Balloon::kMaximumPages * kPage);
  EXPECT_EQ(known_.Read(*at.Add((pages - 1) * kPage), kPage), Full());
}

TEST_F(BalloonTest, HalfAPageNumberIsNone) {
  harness_.ring(kInflate).Chain().Readable("abc").Submit();
  EXPECT_EQ(Serve(kInflate).length, 0U);
  EXPECT_EQ(Counter(kBytes), 0U);
}

const GuestMemory& AnyMemory() {
  static const FakeGuest guest;
  return guest.memory();
}

HULL_DEVICE_FAULT_TESTS(Balloon, [] { return std::make_unique<Balloon>(AnyMemory()); });

}  // namespace
}  // namespace hull
