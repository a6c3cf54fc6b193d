// Vsock: the socket device (virtio 1.2, 5.10) in user space, between the guest's vsock and Unix
// sockets of the host, with the hybrid convention of other VMMs: a program on the host connects to
// `path`, says "CONNECT <port>\n" and is answered "OK <host port>\n"; a guest that connects to CID
// 2, port P reaches the Unix socket `<path>_P`.
//
// Parts: HostClients (who has connected and not yet said where to), Connection (one of them, its
// states and credits), ReceiveQueue (buffers for packets to the guest), Leftovers (what slow
// readers still get). Limits are in limits.h. Nothing is buffered on the way to the guest: what
// does not fit stays in the host's socket. On the way to the host only what a socket does not take
// at once is, within the credit.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "vmm/base/log.h"
#include "vmm/base/result.h"
#include "vmm/event/event_loop.h"
#include "vmm/event/timer.h"
#include "vmm/virtio/virtio_device.h"
#include "vmm/virtio/vsock/connection.h"
#include "vmm/virtio/vsock/host_clients.h"
#include "vmm/virtio/vsock/leftovers.h"
#include "vmm/virtio/vsock/limits.h"
#include "vmm/virtio/vsock/packet.h"
#include "vmm/virtio/vsock/receive_queue.h"

namespace hull {

class Vsock final : public VirtioDevice {
 public:
  // Makes the listening socket at `path`, which must not exist, or be left from a VMM that has
  // ended. `cid` is the guest's: 3 to 2^32 - 2. Before the loop runs, or on its thread; `io_loop`
  // outlives the device. Destroying the device removes the socket.
  static Result<std::unique_ptr<Vsock>> Create(uint64_t cid, std::string path, EventLoop& io_loop,
                                               const vsock::TimeLimits& limits = {});
  ~Vsock() override;

  // Connects to the guest's `port` and lets that speak for itself (an agent that listens there
  // stops the machine in order). `answered` runs once, on the I/O loop: with success when the guest
  // has accepted, kUnavailable when nobody listens, kTimedOut when the guest does not answer. A
  // guest whose driver is not ready yet is waited for. I/O loop.
  using PowerButtonCallback = std::function<void(Status)>;
  void PressPowerButton(uint32_t port, PowerButtonCallback answered);

  // Tells the driver that all connections are gone (virtio 1.2, 5.10.6.7): after the machine was
  // moved or restored. I/O loop.
  void ResetTransport();

  std::string_view name() const override { return "vsock"; }
  uint32_t device_id() const override;
  std::span<const uint16_t> queue_sizes() const override;
  void ReadConfig(uint64_t offset, std::span<std::byte> out) const override;
  Status Activate(Activation activation) override;
  Status OnQueueNotified(QueueIndex queue) override;
  void Reset(Task done) override;
  CounterReadings Counters() const override;

 private:
  using Connection = vsock::Connection;
  using Header = vsock::Header;
  using Ports = vsock::Ports;

  // What exists while the driver is ready.
  struct Driver {
    vsock::ReceiveQueue receive;
    VirtQueue transmit;
    VirtQueue events;
    DriverSignals* signals;
    bool broken = false;  // until the driver resets
    // Transmit buffers that are done with and not yet given back (limits.h).
    std::vector<DescriptorChain> kept;
    uint64_t kept_bytes = 0;

    explicit Driver(Activation activation);
    ~Driver();
    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;
  };
  // RW packets in a row for one connection, to be written to its socket at once.
  struct Batch {
    Connection* connection = nullptr;
    IoVectors vectors;
    std::vector<vsock::Payload> payloads;
    std::vector<DescriptorChain> chains;
  };
  // A packet that nobody wanted, to be answered by RST.
  struct Refusal {
    uint64_t source_cid;
    uint64_t destination_cid;
    Ports ports;  // host: what the guest called its destination
    uint16_t type;
  };

  Vsock(uint64_t cid, std::string path, EventLoop& io_loop, const vsock::TimeLimits& limits);

  // Packets from the guest (vsock.cc).
  Status ProcessTransmit();
  Status HandlePacket(DescriptorChain chain);
  bool IsForUs(const Header& header) const;
  static bool IsWhole(const Header& header, const DescriptorChain& chain);
  void HandleRequest(const Header& header);
  void HandlePayload(Connection& connection, const Header& header, DescriptorChain chain);
  void HandleControl(Connection& connection, const Header& header);
  void FlushBatch();
  void Refuse(const Header& header);
  void Keep(DescriptorChain chain);
  bool KeepsTooMuch() const;
  void GiveBack();
  void OnKeptTooLong();

  // Packets to the guest (vsock_deliver.cc).
  Status Deliver();
  Status SendRefusals();
  Result<bool> ServeControl(Connection& connection);
  Result<bool> ServeData(Connection& connection);
  Header Address(const Connection& connection, Header header) const;
  Status SendPendingEvent();
  // One interrupt for both directions, if the driver wants to know of anything.
  void NotifyDriver();
  // Does the loop's own calls: an error breaks the driver.
  void DeliverNow();
  void Break(const Error& why);

  // Connections (vsock_connections.cc).
  Connection* Find(Ports ports);
  size_t connection_count() const;
  void OnHostConnects(UniqueFd socket, uint32_t port);
  Ports NextHostPorts(uint32_t guest_port);
  Connection* Insert(std::unique_ptr<Connection> connection);
  void OnHostReadable(Ports ports);
  void OnHostWritable(Ports ports);
  void OnEstablished(Connection& connection);
  // After anything has happened to it: queues it if it has something for the guest, sets its
  // deadlines.
  void Settle(Connection& connection);
  void Enqueue(Connection& connection);
  void SetDeadline(Connection& connection, std::chrono::milliseconds limit);
  // The host still gets what is unsent.
  void Remove(Connection& connection, const Error& why);
  void OnTick();
  void OnDeadline(Connection& connection);
  void ArmTick();
  uint32_t GrantBuffer();
  void ReturnBuffer(uint32_t buf_alloc);

  const uint64_t cid_;
  const std::string path_;
  EventLoop& loop_;
  const vsock::TimeLimits limits_;
  std::optional<Driver> driver_;

  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;  // by Ports::key
  std::unordered_map<uint64_t, PowerButtonCallback> power_buttons_;        // the same key
  // Who has something for the guest, in turn. May name connections that have gone.
  std::deque<Ports> ready_;
  std::deque<Refusal> refusals_;
  bool event_pending_ = false;
  Batch batch_;
  IoVectors read_vectors_;
  uint32_t next_host_port_;
  uint64_t large_buffers_bytes_ = 0;
  log::RateLimit guest_log_;
  log::RateLimit host_log_;

  EventCounter host_connections_;
  EventCounter guest_connections_;
  EventCounter refused_;
  EventCounter packets_from_guest_;
  EventCounter bytes_from_guest_;
  EventCounter packets_to_guest_;
  EventCounter bytes_to_guest_;
  EventCounter guest_errors_;

  vsock::Leftovers leftovers_;
  Timer kept_timer_;
  Timer tick_;
  std::unique_ptr<vsock::HostClients> clients_;
};

}  // namespace hull
