#include "vmm/virtio/console/console.h"

#include <linux/virtio_ids.h>

#include <algorithm>
#include <array>
#include <utility>

#include "vmm/base/check.h"

namespace hull {
namespace {

// virtio 1.2, 5.3.2: the port's two queues.
constexpr QueueIndex kReceiveQueue{0};
constexpr size_t kReceiveIndex = 0;
constexpr size_t kTransmitIndex = 1;
constexpr uint16_t kQueueSizes[] = {64, 64};

constexpr size_t kChunkBytes = 4096;

}  // namespace

std::string Console::Output() const {
  const std::lock_guard lock(output_mutex_);
  return output_.Content();
}

std::string Console::LastLines(size_t count) const {
  std::string output = Output();
  size_t start = output.size();
  // The newline that ends the last line does not begin another one.
  if (start > 0 && output.back() == '\n') --start;
  for (size_t lines = 0; start > 0; --start) {
    if (output[start - 1] == '\n' && ++lines == count) break;
  }
  return count == 0 ? std::string() : output.substr(start);
}

size_t Console::SendInput(std::string_view data) {
  const std::string_view taken =
      data.substr(0, std::min(data.size(), kMaximumInputBytes - input_.size()));
  input_.append(taken);
  if (receive_) {
    if (Status delivered = DeliverInput(*receive_); !delivered)
      driver_->NeedsReset(delivered.error());
  }
  return taken.size();
}

uint32_t Console::device_id() const {
  return VIRTIO_ID_CONSOLE;
}

std::span<const uint16_t> Console::queue_sizes() const {
  return kQueueSizes;
}

void Console::ReadConfig(uint64_t offset, std::span<std::byte> out) const {
  // 5.3.4: every field belongs to a feature, and none is offered.
  ReadConfigFrom({}, offset, out);
}

Status Console::Activate(Activation activation) {
  receive_ = std::move(activation.queues[kReceiveIndex]);
  transmit_ = std::move(activation.queues[kTransmitIndex]);
  driver_ = activation.driver;
  return DeliverInput(*receive_);
}

Status Console::OnQueueNotified(QueueIndex queue) {
  HULL_CHECK(receive_ && transmit_);  // only an active device is notified
  return queue == kReceiveQueue ? DeliverInput(*receive_) : DrainOutput(queue);
}

void Console::Reset(Task done) {
  receive_.reset();
  transmit_.reset();
  driver_ = nullptr;
  input_.clear();  // meant for the driver that has gone
  done();
}

CounterReadings Console::Counters() const {
  return {{"bytes_from_guest", bytes_from_guest_.value()},
          {"bytes_to_guest", bytes_to_guest_.value()},
          {"bytes_cut", bytes_cut_.value()}};
}

Status Console::DrainOutput(QueueIndex queue) {
  for (uint16_t served = 0; served < transmit_->size(); ++served) {
    HULL_ASSIGN(std::optional<DescriptorChain> chain, transmit_->Pop());
    if (!chain) {
      transmit_->NotifyGuest();
      return {};
    }
    Keep(chain->reader());
    transmit_->Complete(std::move(*chain));
  }
  transmit_->NotifyGuest();
  driver_->NotifyAgain(queue);
  return {};
}

void Console::Keep(ChainReader& reader) {
  std::array<std::byte, kChunkBytes> chunk;  // NOLINT(*-member-init): Read tells how much is set
  while (reader.remaining_bytes() > 0 && reader.position_bytes() < kMaximumWriteBytes) {
    const std::span<const std::byte> data(chunk.data(), reader.Read(chunk));
    bytes_from_guest_.Add(data.size());
    {
      const std::lock_guard lock(output_mutex_);
      output_.Append(data);
    }
    if (sink_) sink_(data);
  }
  bytes_cut_.Add(reader.remaining_bytes());
}

Status Console::DeliverInput(VirtQueue& receive) {
  size_t delivered = 0;
  while (delivered < input_.size()) {
    HULL_ASSIGN(std::optional<DescriptorChain> chain, receive.Pop());
    if (!chain) break;
    const std::string_view rest = std::string_view(input_).substr(delivered);
    delivered += chain->writer().Write(std::as_bytes(std::span(rest)));
    receive.Complete(std::move(*chain));
  }
  input_.erase(0, delivered);
  bytes_to_guest_.Add(delivered);
  receive.NotifyGuest();
  return {};
}

}  // namespace hull
