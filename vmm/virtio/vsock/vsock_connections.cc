// Vsock: connections, from their first word to their end.
#include <sys/socket.h>

#include <utility>

#include "vmm/base/check.h"
#include "vmm/virtio/vsock/host_socket.h"
#include "vmm/virtio/vsock/limits.h"
#include "vmm/virtio/vsock/vsock.h"

namespace hull {

using vsock::Clock;

Vsock::Connection* Vsock::Find(Ports ports) {
  const auto found = connections_.find(ports.key());
  return found == connections_.end() ? nullptr : found->second.get();
}

size_t Vsock::connection_count() const {
  return connections_.size() + leftovers_.count() + (clients_ ? clients_->count() : 0);
}

void Vsock::OnHostConnects(UniqueFd socket, uint32_t port) {
  Connection* connection =
      Insert(Connection::Requesting(NextHostPorts(port), std::move(socket), GrantBuffer()));
  if (connection == nullptr) return;
  host_connections_.Add();
  SetDeadline(*connection, limits_.driver);
  Settle(*connection);
  DeliverNow();
}

void Vsock::PressPowerButton(uint32_t port, PowerButtonCallback answered) {
  Connection* connection =
      Insert(Connection::Requesting(NextHostPorts(port), UniqueFd(), GrantBuffer()));
  power_buttons_.emplace(connection->ports().key(), std::move(answered));
  SetDeadline(*connection, limits_.driver);
  Settle(*connection);
  DeliverNow();
}

vsock::Ports Vsock::NextHostPorts(uint32_t guest_port) {
  Ports ports{.host = 0, .guest = guest_port};
  do {
    ports.host = next_host_port_;
    next_host_port_ =
        next_host_port_ == vsock::kLastHostPort ? vsock::kFirstHostPort : next_host_port_ + 1;
  } while (Find(ports) != nullptr);  // ends: there are far more ports than connections
  return ports;
}

Vsock::Connection* Vsock::Insert(std::unique_ptr<Connection> connection) {
  const Ports ports = connection->ports();
  if (connection->socket() >= 0) {
    Result<std::unique_ptr<Watch>> watch = Watch::Create(
        loop_, connection->socket(), [this, ports] { OnHostReadable(ports); },
        [this, ports] { OnHostWritable(ports); });
    if (!watch) {
      if (host_log_.Allow()) log::Warn("vsock: {}", watch.error().ToString());
      ReturnBuffer(connection->buf_alloc());
      return nullptr;
    }
    connection->watch = std::move(*watch);
  }
  const auto [place, inserted] = connections_.emplace(ports.key(), std::move(connection));
  HULL_CHECK(inserted);
  return place->second.get();
}

void Vsock::OnHostReadable(Ports ports) {
  Connection* connection = Find(ports);
  if (connection == nullptr) return;
  connection->set_host_ready(true);
  Settle(*connection);
  DeliverNow();
  // What could not be read waits for the guest's credit or buffers, not for the socket.
  connection = Find(ports);
  if (connection != nullptr && connection->host_ready()) connection->watch->WatchReadable(false);
}

void Vsock::OnHostWritable(Ports ports) {
  Connection* connection = Find(ports);
  if (connection == nullptr) return;
  connection->OnWritable();
  Settle(*connection);
  DeliverNow();
}

void Vsock::OnEstablished(Connection& connection) {
  connection.deadline.reset();
  if (const auto button = power_buttons_.extract(connection.ports().key())) {
    Settle(connection);
    button.mapped()({});
    return;
  }
  if (!connection.SayOk()) connection.set_host_ready(true);  // reading tells that it has gone
  connection.watch->WatchReadable(true);
  Settle(connection);
}

void Vsock::Settle(Connection& connection) {
  if (connection.closing() && !connection.deadline) SetDeadline(connection, limits_.close);
  if (connection.needs_hang_up_check()) ArmTick();
  const bool has_data = connection.host_ready() && connection.ReadableBudget(1) > 0;
  if (connection.has_control() || has_data) Enqueue(connection);
}

void Vsock::Enqueue(Connection& connection) {
  // Without a driver nobody serves the line; Activate makes it anew.
  if (connection.queued || !driver_) return;
  connection.queued = true;
  ready_.push_back(connection.ports());
}

void Vsock::SetDeadline(Connection& connection, std::chrono::milliseconds limit) {
  connection.deadline = Clock::now() + limit;
  ArmTick();
}

void Vsock::Remove(Connection& connection, const Error& why) {
  const uint64_t key = connection.ports().key();
  const uint32_t buf_alloc = connection.buf_alloc();
  UniqueFd socket = connection.TakeSocket();
  if (socket.valid() && connection.has_unsent()) {
    leftovers_.Add(std::move(socket), connection.TakeUnsent(), buf_alloc);
  } else {
    if (socket.valid()) vsock::DiscardUnread(socket.get());
    ReturnBuffer(buf_alloc);
  }
  const auto button = power_buttons_.extract(key);
  connections_.erase(key);
  clients_->Resume();
  if (button) button.mapped()(Fail(why));
}

void Vsock::OnTick() {
  const Clock::time_point now = Clock::now();
  bool again = clients_->OnTick(now);
  std::vector<Ports> late;
  for (const auto& [key, connection] : connections_) {
    if (connection->needs_hang_up_check()) {
      connection->CheckHangUp();
      Settle(*connection);
    }
    if (connection->deadline && *connection->deadline <= now) late.push_back(connection->ports());
    again = again || connection->deadline || connection->needs_hang_up_check();
  }
  for (const Ports ports : late)
    if (Connection* connection = Find(ports)) OnDeadline(*connection);
  if (again) ArmTick();
  DeliverNow();
}

void Vsock::OnDeadline(Connection& connection) {
  if (connection.asked() && driver_) {
    Refuse({.source_cid = cid_,
            .destination_cid = vsock::kHostCid,
            .source_port = connection.ports().guest,
            .destination_port = connection.ports().host});
  }
  Remove(connection, MakeError(ErrorCode::kTimedOut, "the guest does not answer"));
}

void Vsock::ArmTick() {
  if (!tick_.running()) tick_.Start(limits_.tick);
}

uint32_t Vsock::GrantBuffer() {
  if (large_buffers_bytes_ + vsock::kLargeBufferBytes > vsock::kLargeBuffersTotalBytes)
    return vsock::kSmallBufferBytes;
  large_buffers_bytes_ += vsock::kLargeBufferBytes;
  return vsock::kLargeBufferBytes;
}

void Vsock::ReturnBuffer(uint32_t buf_alloc) {
  if (buf_alloc == vsock::kLargeBufferBytes) large_buffers_bytes_ -= vsock::kLargeBufferBytes;
  if (clients_) clients_->Resume();
}

}  // namespace hull
