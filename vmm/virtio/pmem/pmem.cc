#include "vmm/virtio/pmem/pmem.h"

#include <fmt/core.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pmem.h>

#include <utility>

namespace hull {
namespace {

constexpr uint16_t kQueueSizes[] = {64};

// virtio 1.2, 5.19.6: what a request is answered with.
constexpr uint32_t kDone = 0;
constexpr uint32_t kFailed = UINT32_MAX;

}  // namespace

Pmem::Pmem(std::string_view id, const GuestRange& range)
    : name_(fmt::format("pmem {}", id)), range_(range) {}

uint32_t Pmem::device_id() const {
  return VIRTIO_ID_PMEM;
}

std::span<const uint16_t> Pmem::queue_sizes() const {
  return kQueueSizes;
}

void Pmem::ReadConfig(uint64_t offset, std::span<std::byte> out) const {
  const ::virtio_pmem_config config = {.start = range_.start().value(),
                                       .size = range_.size_bytes()};
  ReadConfigFrom(std::as_bytes(std::span(&config, 1)), offset, out);
}

Status Pmem::Activate(Activation activation) {
  requests_ = std::move(activation.queues.front());
  driver_ = activation.driver;
  return {};
}

Status Pmem::OnQueueNotified(QueueIndex queue) {
  for (uint16_t served = 0; served < requests_->size(); ++served) {
    HULL_ASSIGN(std::optional<DescriptorChain> chain, requests_->Pop());
    if (!chain) {
      requests_->NotifyGuest();
      return {};
    }
    Answer(*chain);
    requests_->Complete(std::move(*chain));
  }
  requests_->NotifyGuest();
  driver_->NotifyAgain(queue);
  return {};
}

void Pmem::Reset(Task done) {
  requests_.reset();
  driver_ = nullptr;
  done();
}

CounterReadings Pmem::Counters() const {
  return {{"flushes", flushes_.value()}, {"bad_requests", bad_requests_.value()}};
}

void Pmem::Answer(DescriptorChain& chain) {
  const auto request = chain.reader().ReadObject<::virtio_pmem_req>();
  const bool is_flush = request && request->type == VIRTIO_PMEM_REQ_TYPE_FLUSH;
  const ::virtio_pmem_resp response = {.ret = is_flush ? kDone : kFailed};
  // An answer that does not fit is the guest's own loss.
  const bool answered = chain.writer().WriteObject(response);
  (is_flush && answered ? flushes_ : bad_requests_).Add();
}

}  // namespace hull
