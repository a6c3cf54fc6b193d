#include "vmm/virtio/rng/rng.h"

#include <gtest/gtest.h>
#include <linux/virtio_ids.h>

#include <memory>
#include <string>

#include "tests/fakes/device_faults.h"
#include "tests/fakes/device_harness.h"

namespace hull {
namespace {

class RngTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(harness_.Activate()); }

  FakeRing& ring() { return harness_.ring(0); }
  // The used entry of the only request.
  FakeRing::Used Serve() {
    EXPECT_TRUE(harness_.Notify(0));
    return ring().TakeUsed().value_or(FakeRing::Used{.id = 0, .length = UINT32_MAX});
  }

  Rng rng_;
  DeviceHarness harness_{rng_};
};

TEST_F(RngTest, IsAnEntropyDeviceWithOneQueue) {
  EXPECT_EQ(rng_.device_id(), uint32_t{VIRTIO_ID_RNG});
  EXPECT_EQ(rng_.queue_sizes().size(), 1U);
  EXPECT_EQ(rng_.features(), 0U);
}

TEST_F(RngTest, BuffersAreFilledWithDifferentBytes) {
  ring().Chain().Writable(64).Submit();
  const std::string first = ring().Written(Serve());
  ring().Chain().Writable(64).Submit();
  const std::string second = ring().Written(Serve());
  EXPECT_EQ(first.size(), 64U);
  EXPECT_EQ(second.size(), 64U);
  EXPECT_NE(first, std::string(64, '\0'));
  EXPECT_NE(first, second);
}

TEST_F(RngTest, ManyRequestsAreServedWithOneInterrupt) {
  for (int i = 0; i < 10; ++i) ring().Chain().Writable(16).Submit();
  ASSERT_TRUE(harness_.Notify(0));
  EXPECT_EQ(ring().used_index(), 10);
  EXPECT_EQ(harness_.signals().used_buffers, 1);
  EXPECT_EQ(rng_.Counters()[0].value, 10U);
  EXPECT_EQ(rng_.Counters()[1].value, 160U);
}

TEST_F(RngTest, NotificationWithoutRequestDoesNothing) {
  ASSERT_TRUE(harness_.Notify(0));
  EXPECT_EQ(harness_.signals().used_buffers, 0);
}

TEST_F(RngTest, FullQueueIsServedInTurns) {
  const uint16_t size = ring().size();
  for (int i = 0; i < size; ++i) ring().Chain().Writable(1).Submit();
  ASSERT_TRUE(rng_.OnQueueNotified(QueueIndex{0}));
  EXPECT_EQ(harness_.signals().again.size(), 1U);
  EXPECT_EQ(ring().used_index(), size);
}

// What a guest gets that does not keep to the specification, and cannot harm with.
TEST_F(RngTest, LargeBufferIsFilledUpToTheCap) {
  ring().Chain().Writable(100).Writable(1 << 20).Submit();
  EXPECT_EQ(Serve().length, Rng::kMaximumRequestBytes);
}

TEST_F(RngTest, ReadableBufferGivesNothing) {
  ring().Chain().Readable("do not touch").Submit();
  EXPECT_EQ(Serve().length, 0U);
}

TEST_F(RngTest, EmptyBufferGivesNothing) {
  ring().Chain().Writable(0).Submit();
  EXPECT_EQ(Serve().length, 0U);
}

TEST_F(RngTest, ReadablePartInFrontIsLeftAlone) {
  const GuestAddress text = harness_.guest().Place("text");
  ring().Chain().ReadableAt(text, 4).Writable(8).Submit();
  EXPECT_EQ(Serve().length, 8U);
  EXPECT_EQ(harness_.guest().Read(text, 4), "text");
}

HULL_DEVICE_FAULT_TESTS(Rng, [] { return std::make_unique<Rng>(); });

}  // namespace
}  // namespace hull
