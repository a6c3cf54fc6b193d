#include "vmm/virtio/balloon/balloon.h"

#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>

#include <array>
#include <cstddef>
#include <utility>

#include "vmm/memory/give_back.h"

namespace hull {
namespace {

// virtio 1.2, 5.5.2 numbers the queues 0, 1 and 4, and Linux over MMIO counts only those that are
// there: without statistics and hints, reporting is the third.
constexpr QueueIndex kInflateQueue{0};
constexpr QueueIndex kReportingQueue{2};
// Linux reports 32 blocks in one request, in as many descriptors, and refuses a smaller queue.
constexpr uint16_t kQueueSizes[] = {64, 64, 64};

constexpr uint64_t kReporting = uint64_t{1} << VIRTIO_BALLOON_F_REPORTING;

}  // namespace

uint32_t Balloon::device_id() const {
  return VIRTIO_ID_BALLOON;
}

uint64_t Balloon::features() const {
  return kReporting;
}

std::span<const uint16_t> Balloon::queue_sizes() const {
  return kQueueSizes;
}

void Balloon::ReadConfig(uint64_t offset, std::span<std::byte> out) const {
  // All zeroes: no pages are wanted. What the driver writes to `actual` nobody asks for.
  static constexpr std::array<std::byte, sizeof(virtio_balloon_config)> kConfig = {};
  ReadConfigFrom(kConfig, offset, out);
}

Status Balloon::Activate(Activation activation) {
  queues_ = std::move(activation.queues);
  driver_ = activation.driver;
  reporting_ = (activation.features & kReporting) != 0;
  return {};
}

Status Balloon::OnQueueNotified(QueueIndex queue) {
  VirtQueue& requests = queues_.at(static_cast<size_t>(queue));
  for (uint16_t served = 0; served < requests.size(); ++served) {
    HULL_ASSIGN(std::optional<DescriptorChain> chain, requests.Pop());
    if (!chain) {
      requests.NotifyGuest();
      return {};
    }
    Serve(queue, *chain);
    requests.Complete(std::move(*chain));
  }
  requests.NotifyGuest();
  driver_->NotifyAgain(queue);
  return {};
}

void Balloon::Reset(Task done) {
  queues_.clear();
  driver_ = nullptr;
  done();
}

CounterReadings Balloon::Counters() const {
  return {{"requests", requests_.value()}, {"bytes_given_back", bytes_given_back_.value()}};
}

void Balloon::Serve(QueueIndex queue, DescriptorChain& chain) {
  requests_.Add();
  if (queue == kInflateQueue) Inflate(chain.reader());
  if (queue == kReportingQueue && reporting_) Report(chain.writer());
  // Deflating needs nothing: a page comes back when it is touched.
}

// virtio 1.2, 5.5.6.7: the buffers are the free blocks themselves.
void Balloon::Report(ChainWriter& blocks) {
  IoVectors vectors;
  while (blocks.remaining_bytes() > 0) {
    blocks.Take(blocks.remaining_bytes(), vectors);
    bytes_given_back_.Add(GiveBack(vectors));
    vectors.Clear();
  }
  // Nothing was written into them.
  blocks.LimitUsed(0);
}

// virtio 1.2, 5.5.6: numbers of pages of 4 KiB, 32 bits each.
void Balloon::Inflate(ChainReader& pages) {
  IoVectors vectors;
  for (size_t count = 0; count < kMaximumPages && !vectors.full(); ++count) {
    const std::optional<uint32_t> number = pages.ReadObject<uint32_t>();
    if (!number) break;
    const GuestAddress at(uint64_t{*number} * GuestMemory::kPageBytes);
    const std::optional<GuestSlice> page = memory_.Writable(at, GuestMemory::kPageBytes);
    // What is not there is not given back.
    if (page) static_cast<void>(vectors.Append(*page));
  }
  bytes_given_back_.Add(GiveBack(vectors));
}

}  // namespace hull
