// The device's face to the driver, and packets from the guest.
#include "vmm/virtio/vsock/vsock.h"

#include <endian.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_vsock.h>

#include <bit>
#include <cstring>
#include <utility>

#include "vmm/base/check.h"
#include "vmm/virtio/vsock/host_socket.h"
#include "vmm/virtio/vsock/limits.h"

namespace hull {
namespace {

using vsock::HeaderBytes;
using vsock::kHostCid;

// Linux keeps the receive queue full of 4 KiB buffers: with 128 they hold more than a connection's
// credit.
constexpr std::array<uint16_t, 3> kQueueSizes{128, 128, 8};

constexpr uint64_t kMinCid = 3;
constexpr uint64_t kMaxCid = 0xffff'fffe;

}  // namespace

Vsock::Vsock(uint64_t cid, std::string path, EventLoop& io_loop, const vsock::TimeLimits& limits)
    : cid_(cid),
      path_(std::move(path)),
      loop_(io_loop),
      limits_(limits),
      next_host_port_(vsock::kFirstHostPort),
      leftovers_(io_loop, [this](uint32_t buf_alloc) { ReturnBuffer(buf_alloc); }),
      kept_timer_(io_loop, [this] { OnKeptTooLong(); }),
      tick_(io_loop, [this] { OnTick(); }) {}

Vsock::~Vsock() = default;

Vsock::Driver::Driver(Activation activation)
    : receive(std::move(activation.queues[0])),
      transmit(std::move(activation.queues[1])),
      events(std::move(activation.queues[2])),
      signals(activation.driver) {}

Vsock::Driver::~Driver() {
  // The driver has reset the device and does not wait for them.
  for (DescriptorChain& chain : kept) std::move(chain).Abandon();
}

Result<std::unique_ptr<Vsock>> Vsock::Create(uint64_t cid, std::string path, EventLoop& io_loop,
                                             const vsock::TimeLimits& limits) {
  if (cid < kMinCid || cid > kMaxCid)
    return Fail(ErrorCode::kInvalidArgument, "vsock: cid {} is not in {} to {}", cid, kMinCid,
                kMaxCid);
  auto device = std::unique_ptr<Vsock>(new Vsock(cid, path, io_loop, limits));
  Vsock* self = device.get();
  HULL_ASSIGN_WITHIN(
      "vsock", device->clients_,
      vsock::HostClients::Create(
          io_loop, std::move(path),
          {.connect = [self](UniqueFd socket,
                             uint32_t port) { self->OnHostConnects(std::move(socket), port); },
           .arrived = [self] { self->ArmTick(); },
           .has_room = [self] { return self->connection_count() < vsock::kMaxConnections; },
           .limit = limits.connect_line}));
  return device;
}

uint32_t Vsock::device_id() const {
  return VIRTIO_ID_VSOCK;
}

std::span<const uint16_t> Vsock::queue_sizes() const {
  return kQueueSizes;
}

void Vsock::ReadConfig(uint64_t offset, std::span<std::byte> out) const {
  const virtio_vsock_config config{.guest_cid = htole64(cid_)};
  ReadConfigFrom(std::as_bytes(std::span(&config, 1)), offset, out);
}

Status Vsock::Activate(Activation activation) {
  HULL_CHECK(!driver_ && activation.queues.size() == kQueueSizes.size());
  driver_.emplace(std::move(activation));
  // Programs on the host may have been waiting for this.
  for (const auto& [key, connection] : connections_) Settle(*connection);
  return Deliver();
}

Status Vsock::OnQueueNotified(QueueIndex queue) {
  if (!driver_ || driver_->broken) return {};
  Status status;
  if (queue == vsock::kTransmitQueue) status = ProcessTransmit();
  if (queue == vsock::kReceiveQueue) status = Deliver();
  if (queue == vsock::kEventQueue) status = SendPendingEvent();
  if (!status) driver_->broken = true;
  return status;
}

void Vsock::Reset(Task done) {
  kept_timer_.Stop();
  driver_.reset();
  refusals_.clear();
  ready_.clear();
  event_pending_ = false;
  // A program on the host whose request the driver never saw waits for the next one.
  std::vector<Ports> known;
  for (const auto& [key, connection] : connections_)
    if (connection->asked()) known.push_back(connection->ports());
  for (const Ports ports : known) {
    if (Connection* connection = Find(ports))
      Remove(*connection, MakeError(ErrorCode::kUnavailable, "the guest has reset its vsock"));
  }
  for (const auto& [key, connection] : connections_) connection->queued = false;
  done();
}

CounterReadings Vsock::Counters() const {
  return {{"host_connections", host_connections_.value()},
          {"guest_connections", guest_connections_.value()},
          {"refused", refused_.value()},
          {"packets_from_guest", packets_from_guest_.value()},
          {"bytes_from_guest", bytes_from_guest_.value()},
          {"packets_to_guest", packets_to_guest_.value()},
          {"bytes_to_guest", bytes_to_guest_.value()},
          {"guest_errors", guest_errors_.value()}};
}

Status Vsock::ProcessTransmit() {
  Status status;
  for (uint32_t handled = 0;; ++handled) {
    if (handled == vsock::kPacketsPerTurn) {
      driver_->signals->NotifyAgain(vsock::kTransmitQueue);
      break;
    }
    // The guest neither takes the answers nor stops asking: Deliver comes back here.
    if (refusals_.size() >= vsock::kMaxPendingResets) break;
    Result<std::optional<DescriptorChain>> chain = driver_->transmit.Pop();
    if (!chain) {
      status = Fail(std::move(chain).error());
      break;
    }
    if (!*chain) break;
    status = HandlePacket(std::move(**chain));
    if (!status) break;
  }
  FlushBatch();
  HULL_TRY(std::move(status));
  HULL_TRY(Deliver());
  // Kept buffers wait for a packet to the guest, but not for ever.
  if (KeepsTooMuch()) {
    GiveBack();
    driver_->transmit.NotifyGuest();
  } else if (!driver_->kept.empty() && !kept_timer_.running()) {
    kept_timer_.Start(vsock::kMaxKeptTime);
  }
  return {};
}

void Vsock::Keep(DescriptorChain chain) {
  driver_->kept_bytes += chain.readable_bytes();
  driver_->kept.push_back(std::move(chain));
}

bool Vsock::KeepsTooMuch() const {
  return driver_->kept.size() >= vsock::kMaxKeptBuffers ||
         driver_->kept_bytes >= vsock::kMaxKeptBytes ||
         refusals_.size() >= vsock::kMaxPendingResets;
}

void Vsock::GiveBack() {
  for (DescriptorChain& chain : driver_->kept) driver_->transmit.Complete(std::move(chain));
  driver_->kept.clear();
  driver_->kept_bytes = 0;
}

void Vsock::OnKeptTooLong() {
  if (!driver_ || driver_->broken || driver_->kept.empty()) return;
  GiveBack();
  driver_->transmit.NotifyGuest();
}

Status Vsock::HandlePacket(DescriptorChain chain) {
  const std::optional<HeaderBytes> bytes = chain.reader().ReadObject<HeaderBytes>();
  if (!bytes) {
    // Nobody is named whom an RST could be sent to.
    const uint64_t readable = chain.readable_bytes();
    std::move(chain).Abandon();
    guest_errors_.Add();
    return Fail(ErrorCode::kInvalidArgument, "packet of {} bytes, shorter than its header",
                readable);
  }
  const Header header = vsock::Decode(*bytes);
  packets_from_guest_.Add();
  Connection* connection =
      IsForUs(header) ? Find({.host = header.destination_port, .guest = header.source_port})
                      : nullptr;
  if (!IsForUs(header) || !IsWhole(header, chain)) {
    FlushBatch();
    guest_errors_.Add();
    Refuse(header);
    if (connection != nullptr)
      Remove(*connection, MakeError(ErrorCode::kInvalidArgument, "the guest broke the protocol"));
    Keep(std::move(chain));
    return {};
  }
  if (header.op == VIRTIO_VSOCK_OP_RW && connection != nullptr) {
    HandlePayload(*connection, header, std::move(chain));
    return {};
  }
  FlushBatch();
  if (connection != nullptr) {
    HandleControl(*connection, header);
  } else if (header.op == VIRTIO_VSOCK_OP_REQUEST) {
    HandleRequest(header);
  } else {
    Refuse(header);
  }
  Keep(std::move(chain));
  return {};
}

bool Vsock::IsForUs(const Header& header) const {
  // virtio 1.2, 5.10.6.4: the source is the guest's own CID. Nobody but the host is at the other
  // end.
  return header.source_cid == cid_ && header.destination_cid == kHostCid &&
         header.type == VIRTIO_VSOCK_TYPE_STREAM;
}

bool Vsock::IsWhole(const Header& header, const DescriptorChain& chain) {
  // virtio 1.2, 5.10.6.4: transmit buffers are read-only.
  return chain.writable_bytes() == 0 &&
         header.payload_bytes <= chain.readable_bytes() - vsock::kHeaderBytes;
}

void Vsock::HandleRequest(const Header& header) {
  if (connection_count() >= vsock::kMaxConnections - vsock::kReservedForHost) {
    if (guest_log_.Allow()) log::Warn("vsock: the guest has too many connections");
    Refuse(header);
    return;
  }
  Result<UniqueFd> socket = vsock::ConnectTo(path_ + "_" + std::to_string(header.destination_port));
  if (!socket) {
    log::Debug("vsock: guest asks for port {}: {}", header.destination_port,
               socket.error().ToString());
    Refuse(header);
    return;
  }
  const Ports ports{.host = header.destination_port, .guest = header.source_port};
  Connection* connection = Insert(Connection::Accepted(ports, std::move(*socket), GrantBuffer()));
  if (connection == nullptr) {
    Refuse(header);
    return;
  }
  guest_connections_.Add();
  if (!connection->UpdateCredit(header)) {
    guest_errors_.Add();
    Refuse(header);
    Remove(*connection, MakeError(ErrorCode::kInvalidArgument, "wrong credit"));
    return;
  }
  connection->watch->WatchReadable(true);
  Settle(*connection);
}

void Vsock::HandlePayload(Connection& connection, const Header& header, DescriptorChain chain) {
  if (!connection.UpdateCredit(header) || !connection.OnPayloadHeader(header.payload_bytes)) {
    FlushBatch();
    guest_errors_.Add();
    Refuse(header);
    Remove(connection, MakeError(ErrorCode::kInvalidArgument, "the guest sent without credit"));
    Keep(std::move(chain));
    return;
  }
  bytes_from_guest_.Add(header.payload_bytes);
  const bool full = batch_.vectors.count() + driver_->transmit.size() > IoVectors::kMaximumCount ||
                    batch_.vectors.total_bytes() + header.payload_bytes > vsock::kWriteBytes;
  if (batch_.connection != &connection || full) FlushBatch();
  batch_.connection = &connection;
  batch_.payloads.push_back({.reader = chain.reader(), .bytes = header.payload_bytes});
  chain.reader().Take(header.payload_bytes, batch_.vectors);
  batch_.chains.push_back(std::move(chain));
}

void Vsock::FlushBatch() {
  if (batch_.connection == nullptr) return;
  Connection& connection = *std::exchange(batch_.connection, nullptr);
  connection.Forward(batch_.vectors, batch_.payloads);
  for (DescriptorChain& chain : batch_.chains) Keep(std::move(chain));
  batch_.vectors.Clear();
  batch_.payloads.clear();
  batch_.chains.clear();
  Settle(connection);
}

void Vsock::HandleControl(Connection& connection, const Header& header) {
  const bool established = connection.established();
  // A lie about credit ends a connection, but for an RST it does not matter any more.
  Connection::Verdict verdict = Connection::Verdict::kReset;
  if (header.op == VIRTIO_VSOCK_OP_RST || connection.UpdateCredit(header))
    verdict = connection.OnControl(header);
  switch (verdict) {
    case Connection::Verdict::kKeep:
      if (!established && connection.established()) {
        OnEstablished(connection);
      } else {
        Settle(connection);
      }
      return;
    case Connection::Verdict::kReset:
      guest_errors_.Add();
      Refuse(header);
      Remove(connection, MakeError(ErrorCode::kInvalidArgument, "the guest broke the protocol"));
      return;
    case Connection::Verdict::kClose:
      // virtio 1.2, 5.10.6.5: the answer to a SHUTDOWN of both directions.
      Refuse(header);
      Remove(connection, MakeError(ErrorCode::kUnavailable, "the guest has closed"));
      return;
    case Connection::Verdict::kGone:
      Remove(connection, MakeError(ErrorCode::kUnavailable, "nobody listens at the guest's port"));
      return;
  }
}

void Vsock::Refuse(const Header& header) {
  // Answering an RST by an RST would never end.
  if (header.op == VIRTIO_VSOCK_OP_RST) return;
  if (header.op != VIRTIO_VSOCK_OP_SHUTDOWN) refused_.Add();
  refusals_.push_back({.source_cid = header.destination_cid,
                       .destination_cid = header.source_cid,
                       .ports = {.host = header.destination_port, .guest = header.source_port},
                       .type = header.type});
}

}  // namespace hull
