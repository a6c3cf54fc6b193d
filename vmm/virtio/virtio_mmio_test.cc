#include "vmm/virtio/virtio_mmio.h"

#include <gtest/gtest.h>
#include <linux/virtio_config.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/fakes/device_harness.h"
#include "tests/fakes/fake_device.h"
#include "tests/fakes/fake_guest.h"
#include "tests/fakes/fake_ring.h"
#include "tests/fakes/mmio_driver.h"
#include "vmm/event/event_loop.h"

namespace hull {
namespace {

using std::chrono::milliseconds;

constexpr uint64_t kAllFeatures = DeviceHarness::kRingFeatures | FakeDevice::kFeature;
constexpr uint32_t kReady = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
                            VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK;

// The test's thread is vCPU and I/O loop in one, unless a test starts a thread for the loop.
class VirtioMmioTest : public testing::Test {
 protected:
  VirtioMmioTest()
      : loop_(std::move(EventLoop::Create()).value()),
        transport_(VirtioMmio::Create(device_, guest_.memory(), *loop_).value()),
        driver_(*transport_) {
    MakeRings();
  }

  void MakeRings() {
    rings_.clear();
    for (const uint16_t size : FakeDevice::kQueueSizes) {
      rings_.push_back(std::make_unique<FakeRing>(guest_, size, kAllFeatures));
    }
  }
  void SetUpQueues() {
    for (uint16_t i = 0; i < rings_.size(); ++i) driver_.SetUpQueue(i, *rings_[i]);
  }
  void BringUp() {
    ASSERT_TRUE(driver_.Negotiate(kAllFeatures));
    SetUpQueues();
    driver_.DriverOk();
    ASSERT_EQ(driver_.status(), kReady);
  }
  // How often the interrupt was raised since the last call.
  uint64_t TakeInterrupts() const {
    uint64_t count = 0;
    const ssize_t got = ::read(transport_->interrupt_fd(), &count, sizeof(count));
    return got == sizeof(count) ? count : 0;
  }
  uint64_t CounterOf(std::string_view name) const {
    for (const CounterReading& reading : transport_->Counters()) {
      if (reading.name == name) return reading.value;
    }
    return UINT64_MAX;
  }
  // The device echoes a chain, over the queue `index`.
  void ExpectEcho(uint16_t index = 0) {
    rings_[index]->Chain().Readable("echo").Writable(4).Submit();
    driver_.Notify(index);
    loop_->Poll();
    const auto used = rings_[index]->TakeUsed();
    ASSERT_TRUE(used.has_value());
    EXPECT_EQ(rings_[index]->Written(*used), "echo");
  }

  FakeGuest guest_;
  FakeDevice device_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<VirtioMmio> transport_;
  MmioDriver driver_;
  std::vector<std::unique_ptr<FakeRing>> rings_;
};

// --- Registers ---

TEST_F(VirtioMmioTest, IdentifiesItself) {
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976U);
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_VERSION), 2U);
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_DEVICE_ID), uint32_t{VIRTIO_ID_RNG});
  EXPECT_EQ(driver_.OfferedFeatures(), kAllFeatures);
  driver_.Write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_DEVICE_FEATURES), 0U);
  EXPECT_EQ(driver_.status(), 0U);
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
}

TEST_F(VirtioMmioTest, QueuesThatDoNotExistHaveNoSize) {
  for (const auto& [queue, size] : std::vector<std::pair<uint32_t, uint32_t>>{
           {0, 16}, {1, 8}, {2, 0}, {UINT32_MAX, 0}, {0x10000, 0}}) {
    driver_.Write(VIRTIO_MMIO_QUEUE_SEL, queue);
    EXPECT_EQ(driver_.Read(VIRTIO_MMIO_QUEUE_NUM_MAX), size) << queue;
    driver_.Write(VIRTIO_MMIO_QUEUE_READY, 1);
    driver_.Write(VIRTIO_MMIO_QUEUE_NUM, 8);
  }
}

TEST_F(VirtioMmioTest, AccessesOfAnotherSizeOrPlaceReadZeroAndWriteNothing) {
  std::array<std::byte, 8> data = {};
  for (const auto& [offset, size] : std::vector<std::pair<uint64_t, size_t>>{
           {0, 1}, {0, 2}, {0, 8}, {1, 4}, {2, 4}, {0, 3}, {0, 0}}) {
    data.fill(std::byte{0xee});
    transport_->Read(offset, std::span(data).first(size));
    for (size_t i = 0; i < size; ++i) EXPECT_EQ(data[i], std::byte{0}) << offset;
    data.fill(std::byte{1});
    transport_->Write(VIRTIO_MMIO_STATUS + offset, std::span(data).first(size));
    EXPECT_EQ(driver_.status(), 0U);
  }
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_CONFIG - 8), 0U);
}

TEST_F(VirtioMmioTest, ConfigurationIsReadAndWrittenAtAnySize) {
  std::array<std::byte, 8> data = {};
  transport_->Read(VIRTIO_MMIO_CONFIG + 4, data);
  EXPECT_EQ(data[0], std::byte{0xab});
  EXPECT_EQ(data[1], std::byte{0xab});
  EXPECT_EQ(data[2], std::byte{0});  // beyond the end
  data.fill(std::byte{0xcd});
  transport_->Write(VIRTIO_MMIO_CONFIG + 5, std::span(data).first(2));
  EXPECT_EQ(device_.config[4], std::byte{0xab});
  EXPECT_EQ(device_.config[5], std::byte{0xcd});
  transport_->Read(VIRTIO_MMIO_CONFIG + 0xe00, data);
  EXPECT_EQ(data[0], std::byte{0});
}

// --- Status and features ---

TEST_F(VirtioMmioTest, FeaturesThatWereNotOfferedAreNotAgreedOn) {
  EXPECT_FALSE(driver_.Negotiate(kAllFeatures | 1U));
  driver_.Reset();
  EXPECT_FALSE(driver_.Negotiate(kAllFeatures | uint64_t{1} << VIRTIO_F_RING_PACKED));
  driver_.Reset();
  EXPECT_FALSE(driver_.Negotiate(FakeDevice::kFeature));  // without VERSION_1
  driver_.Reset();
  EXPECT_TRUE(driver_.Negotiate(uint64_t{1} << VIRTIO_F_VERSION_1));
}

TEST_F(VirtioMmioTest, FeaturesAreFixedOnceAgreedOn) {
  ASSERT_TRUE(driver_.Negotiate(kAllFeatures));
  driver_.Write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
  driver_.Write(VIRTIO_MMIO_DRIVER_FEATURES, 0);
  SetUpQueues();
  driver_.DriverOk();
  ASSERT_TRUE(device_.activation.has_value());
  EXPECT_EQ(device_.activation->features, kAllFeatures);
}

TEST_F(VirtioMmioTest, FeaturesWithoutADriverAreIgnored) {
  driver_.Write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
  driver_.Write(VIRTIO_MMIO_DRIVER_FEATURES, 1);
  driver_.Write(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_FEATURES_OK);
  EXPECT_EQ(driver_.status(), 0U);
}

TEST_F(VirtioMmioTest, StatusBitsAreNeverClearedButByReset) {
  ASSERT_TRUE(driver_.Negotiate(kAllFeatures));
  const uint32_t before = driver_.status();
  driver_.Write(VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
  EXPECT_EQ(driver_.status(), before);
  driver_.AddStatus(0xffffff00U | VIRTIO_CONFIG_S_NEEDS_RESET);
  EXPECT_EQ(driver_.status(), before);
  driver_.Reset();
  EXPECT_EQ(driver_.status(), 0U);
}

TEST_F(VirtioMmioTest, DriverOkWithoutFeaturesOkNeedsReset) {
  driver_.AddStatus(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
  driver_.DriverOk();
  EXPECT_NE(driver_.status() & VIRTIO_CONFIG_S_NEEDS_RESET, 0U);
  EXPECT_EQ(device_.activations, 0);
}

TEST_F(VirtioMmioTest, DriverOkActivatesOnce) {
  BringUp();
  driver_.DriverOk();
  EXPECT_EQ(device_.activations, 1);
  EXPECT_EQ(device_.activation->queues.size(), 2U);
  EXPECT_EQ(device_.activation->queues[1].size(), 8);
}

TEST_F(VirtioMmioTest, DriverThatFailedIsNotStarted) {
  ASSERT_TRUE(driver_.Negotiate(kAllFeatures));
  SetUpQueues();
  driver_.AddStatus(VIRTIO_CONFIG_S_FAILED);
  driver_.DriverOk();
  EXPECT_EQ(device_.activations, 0);
}

// --- Queues ---

TEST_F(VirtioMmioTest, ReadyQueueCannotBeMoved) {
  ASSERT_TRUE(driver_.Negotiate(kAllFeatures));
  SetUpQueues();
  driver_.Write(VIRTIO_MMIO_QUEUE_SEL, 0);
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_QUEUE_READY), 1U);
  driver_.Write(VIRTIO_MMIO_QUEUE_DESC_HIGH, 0xffff);
  driver_.Write(VIRTIO_MMIO_QUEUE_NUM, 3);
  driver_.DriverOk();
  EXPECT_EQ(driver_.status(), kReady);
  driver_.Write(VIRTIO_MMIO_QUEUE_READY, 0);  // too late
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_QUEUE_READY), 1U);
  ExpectEcho();
}

TEST_F(VirtioMmioTest, QueueSetUpBeforeFeaturesOkIsIgnored) {
  driver_.AddStatus(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
  SetUpQueues();
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_QUEUE_READY), 0U);
}

struct BadQueue {
  std::string name;
  uint32_t offset;
  uint32_t value;
};

class VirtioMmioQueueTest : public VirtioMmioTest, public testing::WithParamInterface<BadQueue> {};

TEST_P(VirtioMmioQueueTest, NeedsResetAndWorksAfterIt) {
  ASSERT_TRUE(driver_.Negotiate(kAllFeatures));
  SetUpQueues();
  driver_.Write(VIRTIO_MMIO_QUEUE_SEL, 1);
  driver_.Write(VIRTIO_MMIO_QUEUE_READY, 0);
  driver_.Write(GetParam().offset, GetParam().value);
  if (GetParam().offset != VIRTIO_MMIO_QUEUE_READY) driver_.Write(VIRTIO_MMIO_QUEUE_READY, 1);
  driver_.DriverOk();
  EXPECT_NE(driver_.status() & VIRTIO_CONFIG_S_NEEDS_RESET, 0U);
  EXPECT_EQ(device_.activations, 0);
  EXPECT_EQ(CounterOf("faults"), 1U);
  EXPECT_EQ(TakeInterrupts(), 1U);
  EXPECT_EQ(driver_.TakeInterrupt(), uint32_t{VIRTIO_MMIO_INT_CONFIG});

  driver_.Reset();
  MakeRings();
  BringUp();
  ExpectEcho();
}

INSTANTIATE_TEST_SUITE_P(
    Bad, VirtioMmioQueueTest,
    testing::Values(BadQueue{"SizeZero", VIRTIO_MMIO_QUEUE_NUM, 0},
                    BadQueue{"SizeNotAPowerOfTwo", VIRTIO_MMIO_QUEUE_NUM, 5},
                    BadQueue{"SizeTooLarge", VIRTIO_MMIO_QUEUE_NUM, 16},
                    BadQueue{"NotReady", VIRTIO_MMIO_QUEUE_READY, 0},
                    BadQueue{"ReadyWithAnotherValue", VIRTIO_MMIO_QUEUE_READY, 2},
                    BadQueue{"TableOutsideOfMemory", VIRTIO_MMIO_QUEUE_DESC_HIGH, 0x1000},
                    BadQueue{"TableNotAligned", VIRTIO_MMIO_QUEUE_DESC_LOW, 0x1001},
                    BadQueue{"AvailableOutsideOfMemory", VIRTIO_MMIO_QUEUE_AVAIL_HIGH, UINT32_MAX},
                    BadQueue{"UsedOutsideOfMemory", VIRTIO_MMIO_QUEUE_USED_HIGH, UINT32_MAX},
                    BadQueue{"UsedInReadOnlyMemory", VIRTIO_MMIO_QUEUE_USED_LOW,
                             static_cast<uint32_t>(FakeGuest::kReadOnly)}),
    [](const auto& made) { return made.param.name; });

// --- Notifications and interrupts ---

TEST_F(VirtioMmioTest, NotificationIsAnsweredWithAnInterrupt) {
  BringUp();
  ExpectEcho(0);
  EXPECT_EQ(TakeInterrupts(), 1U);
  EXPECT_EQ(driver_.TakeInterrupt(), uint32_t{VIRTIO_MMIO_INT_VRING});
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_INTERRUPT_STATUS), 0U);
  ExpectEcho(1);
  EXPECT_EQ(TakeInterrupts(), 1U);
  EXPECT_EQ(CounterOf("notifications"), 2U);
  EXPECT_EQ(CounterOf("interrupts"), 2U);
  EXPECT_EQ(CounterOf("fake"), 7U);
}

TEST_F(VirtioMmioTest, NotificationThroughTheEventFdIsTheSame) {
  BringUp();
  rings_[1]->Chain().Readable("kvm").Writable(3).Submit();
  ASSERT_EQ(::eventfd_write(transport_->notify_fd(QueueIndex{1}), 1), 0);
  loop_->Poll();
  EXPECT_EQ(rings_[1]->Written(rings_[1]->TakeUsed().value()), "kvm");
}

TEST_F(VirtioMmioTest, ManyNotificationsAreOneWhenTheLoopIsLate) {
  BringUp();
  for (int i = 0; i < 5; ++i) driver_.Notify(0);
  loop_->Poll();
  EXPECT_EQ(device_.notifications, 1);
}

TEST_F(VirtioMmioTest, NotificationOfNoQueueIsIgnored) {
  BringUp();
  driver_.Notify(2);
  driver_.Write(VIRTIO_MMIO_QUEUE_NOTIFY, UINT32_MAX);
  loop_->Poll();
  EXPECT_EQ(device_.notifications, 0);
  EXPECT_EQ(driver_.status(), kReady);
}

TEST_F(VirtioMmioTest, NotificationBeforeDriverOkWaitsForIt) {
  driver_.Notify(0);
  loop_->Poll();
  EXPECT_EQ(device_.notifications, 0);
  ASSERT_TRUE(driver_.Negotiate(kAllFeatures));
  SetUpQueues();
  rings_[0]->Chain().Readable("early").Writable(5).Submit();
  driver_.Notify(0);
  loop_->Poll();
  EXPECT_EQ(rings_[0]->used_index(), 0);  // 2.1.2: nothing is consumed before DRIVER_OK
  driver_.DriverOk();
  loop_->Poll();
  EXPECT_EQ(rings_[0]->Written(rings_[0]->TakeUsed().value()), "early");
}

TEST_F(VirtioMmioTest, NotifyAgainComesBackAfterOthers) {
  BringUp();
  device_.activation->driver->NotifyAgain(QueueIndex{1});
  EXPECT_EQ(device_.notifications, 0);
  loop_->Poll();
  EXPECT_EQ(device_.notifications, 1);
}

TEST_F(VirtioMmioTest, ConfigurationChangeRaisesGenerationAndInterrupt) {
  BringUp();
  const uint32_t before = driver_.Read(VIRTIO_MMIO_CONFIG_GENERATION);
  device_.activation->driver->ConfigChanged();
  EXPECT_NE(driver_.Read(VIRTIO_MMIO_CONFIG_GENERATION), before);
  EXPECT_EQ(TakeInterrupts(), 1U);
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_INTERRUPT_STATUS), uint32_t{VIRTIO_MMIO_INT_CONFIG});
  driver_.Write(VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_INTERRUPT_STATUS), uint32_t{VIRTIO_MMIO_INT_CONFIG});
}

// --- Faults ---

TEST_F(VirtioMmioTest, BrokenRingStopsTheDeviceUntilItIsReset) {
  BringUp();
  rings_[0]->Publish(0xffff);
  driver_.Notify(0);
  loop_->Poll();
  EXPECT_EQ(driver_.status(), kReady | VIRTIO_CONFIG_S_NEEDS_RESET);
  EXPECT_EQ(driver_.TakeInterrupt(), uint32_t{VIRTIO_MMIO_INT_CONFIG});
  EXPECT_EQ(CounterOf("faults"), 1U);
  driver_.Notify(0);
  driver_.Notify(1);
  loop_->Poll();
  EXPECT_EQ(device_.notifications, 1);
  driver_.DriverOk();  // does not revive it
  EXPECT_EQ(device_.activations, 1);

  driver_.Reset();
  EXPECT_EQ(driver_.status(), 0U);
  EXPECT_EQ(device_.resets, 1);
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_INTERRUPT_STATUS), 0U);
  MakeRings();
  BringUp();
  ExpectEcho(0);
  ExpectEcho(1);
}

TEST_F(VirtioMmioTest, DeviceMayReportAFaultByItself) {
  BringUp();
  device_.activation->driver->NeedsReset(MakeError(ErrorCode::kCorrupt, "test"));
  device_.activation->driver->NeedsReset(MakeError(ErrorCode::kCorrupt, "test"));
  EXPECT_EQ(driver_.status(), kReady | VIRTIO_CONFIG_S_NEEDS_RESET);
  EXPECT_EQ(CounterOf("faults"), 1U);
}

TEST_F(VirtioMmioTest, ActivationThatFailsNeedsReset) {
  device_.fail_activation = true;
  ASSERT_TRUE(driver_.Negotiate(kAllFeatures));
  SetUpQueues();
  driver_.DriverOk();
  EXPECT_EQ(driver_.status(), kReady | VIRTIO_CONFIG_S_NEEDS_RESET);
  device_.fail_activation = false;
  driver_.Reset();
  EXPECT_EQ(device_.resets, 1);
  BringUp();
  ExpectEcho();
}

// --- Reset ---

TEST_F(VirtioMmioTest, ResetOfADeviceThatWasNotStartedAsksNobody) {
  driver_.Reset();
  EXPECT_EQ(device_.resets, 0);
  EXPECT_EQ(CounterOf("resets"), 1U);
}

TEST_F(VirtioMmioTest, StatusReadsZeroOnlyWhenTheDeviceHasAnswered) {
  device_.hold_reset = true;
  BringUp();
  driver_.Reset();
  EXPECT_EQ(driver_.status(), uint32_t{VIRTIO_CONFIG_S_NEEDS_RESET});
  EXPECT_FALSE(driver_.Negotiate(kAllFeatures));  // nothing is written meanwhile
  driver_.Notify(0);
  driver_.Reset();
  EXPECT_EQ(device_.resets, 1);
  device_.held_reset();
  EXPECT_EQ(driver_.status(), 0U);
  device_.hold_reset = false;
  MakeRings();
  BringUp();
  ExpectEcho();
}

TEST_F(VirtioMmioTest, ResetClearsTheInterruptAndTheQueues) {
  BringUp();
  ExpectEcho();
  EXPECT_NE(driver_.Read(VIRTIO_MMIO_INTERRUPT_STATUS), 0U);
  driver_.Reset();
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_INTERRUPT_STATUS), 0U);
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_QUEUE_READY), 0U);
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_QUEUE_NUM_MAX), 16U);
}

TEST_F(VirtioMmioTest, ResetDuringIoForgetsTheRings) {
  BringUp();
  rings_[0]->Chain().Readable("lost").Writable(4).Submit();
  driver_.Notify(0);
  driver_.Reset();
  loop_->Poll();
  EXPECT_EQ(rings_[0]->used_index(), 0);
  EXPECT_EQ(driver_.Read(VIRTIO_MMIO_QUEUE_READY), 0U);
}

// --- With threads ---

class VirtioMmioThreadTest : public VirtioMmioTest {
 protected:
  VirtioMmioThreadTest() : io_thread_([this] { loop_->Run(); }) {
    while (loop_->IsCurrent()) std::this_thread::yield();
  }
  ~VirtioMmioThreadTest() override {
    loop_->Stop();
    io_thread_.join();
  }
  std::optional<FakeRing::Used> WaitForUsed(uint16_t index) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < limit) {
      if (auto used = rings_[index]->TakeUsed()) return used;
      std::this_thread::yield();
    }
    return std::nullopt;
  }

  std::thread io_thread_;
};

TEST_F(VirtioMmioThreadTest, RequestsAreAnsweredByTheLoopsThread) {
  BringUp();
  for (int i = 0; i < 200; ++i) {
    const auto index = static_cast<uint16_t>(i % 2);
    rings_[index]->AskForInterruptAt(static_cast<uint16_t>(i / 2));
    rings_[index]->Chain().Readable("echo").Writable(4).Submit();
    if (rings_[index]->NotificationWanted()) driver_.Notify(index);
    const auto used = WaitForUsed(index);
    ASSERT_TRUE(used.has_value()) << i;
    EXPECT_EQ(rings_[index]->Written(*used), "echo");
  }
}

TEST_F(VirtioMmioThreadTest, VcpuWaitsForTheResetToBeDone) {
  BringUp();
  ASSERT_TRUE(loop_->RunAndWait([this] { device_.hold_reset = true; }, std::chrono::seconds(10)));
  std::atomic<bool> answered = false;
  std::thread vcpu([&] {
    driver_.Reset();
    EXPECT_TRUE(answered);
    EXPECT_EQ(driver_.status(), 0U);
  });
  // Another vCPU sees that the reset is not done.
  while (driver_.status() != VIRTIO_CONFIG_S_NEEDS_RESET) std::this_thread::yield();
  std::this_thread::sleep_for(milliseconds(20));
  loop_->Post([&] {
    answered = true;
    device_.held_reset();
  });
  vcpu.join();
}

TEST_F(VirtioMmioThreadTest, DriversThatComeAndGoFromManyThreads) {
  // Registers are written by several vCPUs at once, as no sane guest would.
  {
    std::vector<std::jthread> vcpus;
    for (int i = 0; i < 3; ++i) {
      vcpus.emplace_back([this] {
        for (int round = 0; round < 30; ++round) {
          driver_.Negotiate(kAllFeatures);
          SetUpQueues();
          driver_.DriverOk();
          driver_.Notify(0);
          driver_.TakeInterrupt();
          driver_.Reset();
        }
      });
    }
  }
  driver_.Reset();
  ASSERT_EQ(driver_.status(), 0U);
  MakeRings();
  BringUp();
  rings_[0]->Chain().Readable("sane").Writable(4).Submit();
  driver_.Notify(0);
  const auto used = WaitForUsed(0);
  ASSERT_TRUE(used.has_value());
  EXPECT_EQ(rings_[0]->Written(*used), "sane");
}

}  // namespace
}  // namespace hull
