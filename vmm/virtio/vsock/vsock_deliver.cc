// Vsock: packets to the guest.
#include <linux/virtio_vsock.h>

#include <utility>

#include "vmm/base/check.h"
#include "vmm/virtio/vsock/limits.h"
#include "vmm/virtio/vsock/vsock.h"

namespace hull {

using vsock::kHostCid;

Status Vsock::Deliver() {
  HULL_TRY(SendRefusals());
  for (uint32_t reads = 0; !ready_.empty();) {
    Connection* connection = Find(ready_.front());
    if (connection == nullptr || !connection->queued) {
      ready_.pop_front();
      continue;
    }
    if (connection->has_control()) {
      HULL_ASSIGN(const bool sent, ServeControl(*connection));
      if (!sent) break;
      continue;
    }
    const bool has_data = connection->host_ready() && connection->ReadableBudget(1) > 0;
    if (has_data) {
      if (reads++ == vsock::kReadsPerTurn) {
        driver_->signals->NotifyAgain(vsock::kReceiveQueue);
        break;
      }
      HULL_ASSIGN(const bool moved, ServeData(*connection));
      if (!moved) break;
    }
    // Its turn is over: to the end of the line, if there is more.
    ready_.pop_front();
    connection->queued = false;
    Settle(*connection);
  }
  NotifyDriver();
  return {};
}

void Vsock::NotifyDriver() {
  if (!driver_->receive.has_sent()) return;
  if (!driver_->kept.empty()) GiveBack();
  // Linux looks at all queues of a device when it interrupts.
  if (!driver_->receive.NotifyGuest()) driver_->transmit.NotifyGuest();
}

Status Vsock::SendRefusals() {
  const bool transmit_waits = refusals_.size() >= vsock::kMaxPendingResets;
  while (!refusals_.empty()) {
    HULL_ASSIGN(const bool room, driver_->receive.HasRoom());
    if (!room) return {};
    const Refusal& refusal = refusals_.front();
    packets_to_guest_.Add();
    driver_->receive.SendControl({.source_cid = refusal.source_cid,
                                  .destination_cid = refusal.destination_cid,
                                  .source_port = refusal.ports.host,
                                  .destination_port = refusal.ports.guest,
                                  .type = refusal.type,
                                  .op = VIRTIO_VSOCK_OP_RST});
    refusals_.pop_front();
  }
  if (transmit_waits) driver_->signals->NotifyAgain(vsock::kTransmitQueue);
  return {};
}

Result<bool> Vsock::ServeControl(Connection& connection) {
  HULL_ASSIGN(const bool room, driver_->receive.HasRoom());
  if (!room) return false;
  const Header header = connection.NextControl();
  packets_to_guest_.Add();
  driver_->receive.SendControl(Address(connection, header));
  if (header.op == VIRTIO_VSOCK_OP_REQUEST) SetDeadline(connection, limits_.answer);
  return true;
}

Result<bool> Vsock::ServeData(Connection& connection) {
  read_vectors_.Clear();
  HULL_TRY(driver_->receive.Gather(connection.ReadableBudget(vsock::kReadBytes), read_vectors_));
  if (read_vectors_.empty()) return false;
  const Connection::Read read = connection.ReadFromHost(read_vectors_);
  bytes_to_guest_.Add(read.bytes);
  driver_->receive.SendGathered(read.bytes, [&](uint32_t part) {
    packets_to_guest_.Add();
    return Address(connection, connection.DataHeader(part));
  });
  if (read.result == Connection::ReadResult::kDrained) {
    connection.set_host_ready(false);
    connection.watch->WatchReadable(true);
  }
  return true;
}

vsock::Header Vsock::Address(const Connection& connection, Header header) const {
  header.source_cid = kHostCid;
  header.destination_cid = cid_;
  header.source_port = connection.ports().host;
  header.destination_port = connection.ports().guest;
  return header;
}

void Vsock::ResetTransport() {
  std::vector<Ports> all;
  for (const auto& [key, connection] : connections_)
    if (connection->asked()) all.push_back(connection->ports());
  for (const Ports ports : all) {
    if (Connection* connection = Find(ports))
      Remove(*connection, MakeError(ErrorCode::kUnavailable, "the machine was moved"));
  }
  event_pending_ = true;
  if (!driver_ || driver_->broken) return;
  if (const Status status = SendPendingEvent(); !status) Break(status.error());
}

Status Vsock::SendPendingEvent() {
  if (!event_pending_) return {};
  HULL_ASSIGN(std::optional<DescriptorChain> chain, driver_->events.Pop());
  if (!chain) return {};
  const virtio_vsock_event event{.id = htole32(VIRTIO_VSOCK_EVENT_TRANSPORT_RESET)};
  const bool written = chain->writer().WriteObject(event);
  driver_->events.Complete(std::move(*chain));
  driver_->events.NotifyGuest();
  if (!written) return Fail(ErrorCode::kInvalidArgument, "event buffer without room for an event");
  event_pending_ = false;
  return {};
}

void Vsock::DeliverNow() {
  if (!driver_ || driver_->broken) return;
  if (const Status status = Deliver(); !status) Break(status.error());
}

void Vsock::Break(const Error& why) {
  driver_->broken = true;
  driver_->signals->NeedsReset(why);
}

}  // namespace hull
