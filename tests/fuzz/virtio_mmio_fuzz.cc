// What a hostile guest can do to the registers of a device, and to the rings that it sets up with
// them.
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "tests/fakes/device_harness.h"
#include "tests/fakes/fake_device.h"
#include "tests/fakes/mmio_driver.h"
#include "tests/fuzz/fuzz_input.h"
#include "tests/fuzz/hostile_guest.h"
#include "vmm/base/check.h"
#include "vmm/event/event_loop.h"
#include "vmm/virtio/virtio_mmio.h"

namespace hull {
namespace {

constexpr uint64_t kFeatures = DeviceHarness::kRingFeatures | FakeDevice::kFeature;

class Run {
 public:
  explicit Run(FuzzInput& input)
      : input_(input),
        loop_(std::move(EventLoop::Create()).value()),
        transport_(VirtioMmio::Create(device_, guest_.memory(), *loop_).value()),
        driver_(*transport_) {
    MakeRings();
  }

  void Go() {
    HostileGuest hostile(input_, HostileGuest::RingMemory::kApart);
    while (!input_.empty()) {
      switch (input_.Below(8)) {
        case 0:
          Access();
          break;
        case 1: {
          const uint64_t offset = 4 * uint64_t{input_.Below(64)};
          driver_.Write(offset, input_.Take<uint8_t>());
          break;
        }
        case 2:
          BringUp();
          break;
        case 3:
          driver_.Notify(static_cast<uint16_t>(input_.Below(3)));
          break;
        case 4:
          loop_->Poll();
          break;
        case 5:
          if (input_.Below(8) == 0) driver_.Reset();
          break;
        default:
          hostile.Act(*rings_[input_.Below(2)]);
          break;
      }
      Check();
    }
    // However it was left, a sane driver can have it.
    driver_.Reset();
    HULL_CHECK(driver_.status() == 0);
    MakeRings();
    BringUp();
    rings_[0]->Chain().Readable("echo").Writable(4).Submit();
    driver_.Notify(0);
    loop_->Poll();
    const auto used = rings_[0]->TakeUsed();
    HULL_CHECK(used.has_value() && rings_[0]->Written(*used) == "echo");
  }

 private:
  void MakeRings() {
    rings_.clear();
    for (const uint16_t size : FakeDevice::kQueueSizes) {
      rings_.push_back(std::make_unique<FakeRing>(guest_, size, kFeatures));
    }
  }
  void BringUp() {
    driver_.Negotiate(kFeatures);
    for (uint16_t i = 0; i < rings_.size(); ++i) driver_.SetUpQueue(i, *rings_[i]);
    driver_.DriverOk();
  }
  // Any access at all.
  void Access() {
    std::array<std::byte, 8> data = {};
    const uint64_t offset = input_.Below(0x1000);
    const auto part = std::span(data).first(input_.Below(9));
    if (input_.Below(2) == 0) {
      transport_->Read(offset, part);
    } else {
      for (std::byte& byte : part) byte = std::byte{input_.Take<uint8_t>()};
      transport_->Write(offset, part);
    }
  }
  void Check() const {
    const uint32_t status = driver_.status();
    // The device has queues only between DRIVER_OK and the next reset.
    HULL_CHECK(!device_.activation || (status & VIRTIO_CONFIG_S_DRIVER_OK) != 0);
    HULL_CHECK((status & ~0xcfU) == 0);
  }

  FuzzInput& input_;
  FakeGuest guest_;
  FakeDevice device_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<VirtioMmio> transport_;
  MmioDriver driver_;
  std::vector<std::unique_ptr<FakeRing>> rings_;
};

}  // namespace
}  // namespace hull

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hull::SilenceLog();
  hull::FuzzInput input(data, size);
  hull::Run(input).Go();
  return 0;
}
