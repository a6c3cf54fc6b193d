#include "tests/fakes/mmio_driver.h"

namespace hull {
namespace {

uint32_t Low(GuestAddress address) {
  return static_cast<uint32_t>(address.value());
}
uint32_t High(GuestAddress address) {
  return static_cast<uint32_t>(address.value() >> 32U);
}

}  // namespace

uint32_t MmioDriver::Read(uint64_t offset) const {
  uint32_t value = 0;
  device_.Read(offset, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

void MmioDriver::Write(uint64_t offset, uint32_t value) const {
  device_.Write(offset, std::as_bytes(std::span(&value, 1)));
}

uint64_t MmioDriver::OfferedFeatures() const {
  Write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
  const uint64_t low = Read(VIRTIO_MMIO_DEVICE_FEATURES);
  Write(VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
  return low | uint64_t{Read(VIRTIO_MMIO_DEVICE_FEATURES)} << 32U;
}

bool MmioDriver::Negotiate(uint64_t features) const {
  AddStatus(VIRTIO_CONFIG_S_ACKNOWLEDGE);
  AddStatus(VIRTIO_CONFIG_S_DRIVER);
  Write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
  Write(VIRTIO_MMIO_DRIVER_FEATURES, static_cast<uint32_t>(features));
  Write(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
  Write(VIRTIO_MMIO_DRIVER_FEATURES, static_cast<uint32_t>(features >> 32U));
  AddStatus(VIRTIO_CONFIG_S_FEATURES_OK);
  return (status() & VIRTIO_CONFIG_S_FEATURES_OK) != 0;
}

void MmioDriver::SetUpQueue(uint16_t queue, const FakeRing& ring) const {
  Write(VIRTIO_MMIO_QUEUE_SEL, queue);
  Write(VIRTIO_MMIO_QUEUE_NUM, ring.size());
  Write(VIRTIO_MMIO_QUEUE_DESC_LOW, Low(ring.descriptor_table()));
  Write(VIRTIO_MMIO_QUEUE_DESC_HIGH, High(ring.descriptor_table()));
  Write(VIRTIO_MMIO_QUEUE_AVAIL_LOW, Low(ring.available_ring()));
  Write(VIRTIO_MMIO_QUEUE_AVAIL_HIGH, High(ring.available_ring()));
  Write(VIRTIO_MMIO_QUEUE_USED_LOW, Low(ring.used_ring()));
  Write(VIRTIO_MMIO_QUEUE_USED_HIGH, High(ring.used_ring()));
  Write(VIRTIO_MMIO_QUEUE_READY, 1);
}

uint32_t MmioDriver::TakeInterrupt() const {
  const uint32_t cause = Read(VIRTIO_MMIO_INTERRUPT_STATUS);
  Write(VIRTIO_MMIO_INTERRUPT_ACK, cause);
  return cause;
}

}  // namespace hull
