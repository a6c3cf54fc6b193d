#include "vmm/virtio/rng/rng.h"

#include <linux/virtio_ids.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <utility>

namespace hull {
namespace {

constexpr uint16_t kQueueSizes[] = {64};

// What one call of getrandom gives without being interrupted (getrandom(2)).
constexpr size_t kChunkBytes = 256;

}  // namespace

uint32_t Rng::device_id() const {
  return VIRTIO_ID_RNG;
}

std::span<const uint16_t> Rng::queue_sizes() const {
  return kQueueSizes;
}

void Rng::ReadConfig(uint64_t offset, std::span<std::byte> out) const {
  ReadConfigFrom({}, offset, out);
}

Status Rng::Activate(Activation activation) {
  requests_ = std::move(activation.queues.front());
  driver_ = activation.driver;
  return {};
}

Status Rng::OnQueueNotified(QueueIndex queue) {
  for (uint16_t served = 0; served < requests_->size(); ++served) {
    HULL_ASSIGN(std::optional<DescriptorChain> chain, requests_->Pop());
    if (!chain) {
      requests_->NotifyGuest();
      return {};
    }
    Fill(chain->writer());
    requests_->Complete(std::move(*chain));
  }
  requests_->NotifyGuest();
  driver_->NotifyAgain(queue);
  return {};
}

void Rng::Reset(Task done) {
  requests_.reset();
  driver_ = nullptr;
  done();
}

CounterReadings Rng::Counters() const {
  return {{"requests", requests_served_.value()}, {"bytes", bytes_served_.value()}};
}

void Rng::Fill(ChainWriter& writer) {
  std::array<std::byte, kChunkBytes> chunk = {};
  while (writer.remaining_bytes() > 0 && writer.position_bytes() < kMaximumRequestBytes) {
    const size_t wanted = std::min<uint64_t>(chunk.size(), writer.remaining_bytes());
    const ssize_t got = ::getrandom(chunk.data(), wanted, 0);
    if (got < 0 && errno == EINTR) continue;
    // The host cannot fail at this once it has booted. If it does, the used length says so.
    if (got <= 0) break;
    writer.Write(std::span(chunk).first(static_cast<size_t>(got)));
  }
  requests_served_.Add();
  bytes_served_.Add(writer.position_bytes());
}

}  // namespace hull
