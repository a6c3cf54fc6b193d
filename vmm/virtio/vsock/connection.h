// Connection: one vsock connection between a socket of the guest and a Unix socket of the host.
//
// It knows the protocol's states, both credits and both directions' ends. It has no queue, loop or
// device: the device (vsock.h) hands it the guest's packets, asks it what to send, and acts upon
// what it says. Owned by the device, on the I/O loop.
//
//   kRequested --RESPONSE--> kEstablished --both directions ended--> kClosing --RST--> gone
//   (host's)                 (also where the guest's requests begin)
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "vmm/base/unique_fd.h"
#include "vmm/event/watch.h"
#include "vmm/memory/guest_slice.h"
#include "vmm/virtio/descriptor_chain.h"
#include "vmm/virtio/vsock/byte_queue.h"
#include "vmm/virtio/vsock/credit.h"
#include "vmm/virtio/vsock/packet.h"

namespace hull::vsock {

using Clock = std::chrono::steady_clock;

// The host's CID and the guest's are constant, so two ports name a connection.
struct Ports {
  uint32_t host = 0;
  uint32_t guest = 0;
  uint64_t key() const { return (uint64_t{host} << 32U) | guest; }
};

// Payload of one packet of the guest, still in the guest's memory.
struct Payload {
  ChainReader reader;  // at the payload's beginning
  uint32_t bytes;
};

class Connection {
 public:
  // What is to become of the connection after a packet of the guest.
  enum class Verdict {
    kKeep,
    kReset,  // the guest broke the protocol: RST, and away with it
    kClose,  // the guest is done with it: RST confirms, the host still gets what was sent before
    kGone,   // the guest has reset it: no answer, the host still gets what was sent before
  };
  enum class ReadResult {
    kData,     // some bytes, and there may be more
    kDrained,  // some bytes (or none), and nothing more at present
    kEnd,      // the host has ended its direction; the guest is to be told
  };

  // A connection that the host asks for: the first thing for the guest is a REQUEST. Without a
  // socket it carries no data (the power button).
  static std::unique_ptr<Connection> Requesting(Ports ports, UniqueFd socket, uint32_t buf_alloc);
  // One that the guest asked for and that `socket` was found for: a RESPONSE comes first.
  static std::unique_ptr<Connection> Accepted(Ports ports, UniqueFd socket, uint32_t buf_alloc);

  Ports ports() const { return ports_; }
  uint32_t buf_alloc() const { return host_credit_.buf_alloc(); }
  bool established() const { return state_ != State::kRequested; }
  // Whether the guest knows of it.
  bool asked() const { return (control_ & kRequest) == 0; }
  int socket() const { return socket_.get(); }

  // ---- From the guest.
  // Any packet: its credit fields. False if they are not credible.
  [[nodiscard]] bool UpdateCredit(const Header& header) {
    return guest_credit_.Update(header.buf_alloc, header.fwd_cnt);
  }
  // Any packet but RW.
  Verdict OnControl(const Header& header);
  // The header of an RW packet. False when the guest may not send that (now, or so much).
  [[nodiscard]] bool OnPayloadHeader(uint32_t bytes);
  // What such headers announced, in order, `vectors` being all of it: to the socket if it takes it,
  // the rest is copied and kept. A host that does not listen any more loses it.
  void Forward(IoVectors& vectors, std::span<Payload> payloads);
  // The socket takes data again: sends what was kept.
  void OnWritable();

  // ---- To the guest.
  bool has_control() const { return control_ != 0; }
  // The next packet without payload (ports, CIDs and type are the device's to fill in). Only when
  // has_control().
  Header NextControl();
  // How much may be read from the socket for the guest at present, at most `limit`.
  uint32_t ReadableBudget(uint32_t limit) const;
  // Reads into the guest's buffers. `bytes` is how much came.
  struct Read {
    ReadResult result;
    uint32_t bytes;
  };
  Read ReadFromHost(const IoVectors& vectors);
  // The header of a packet with payload.
  Header DataHeader(uint32_t bytes);
  // Sets when the socket has something (or an end) that waits for credit or buffers.
  void set_host_ready(bool ready) { host_ready_ = ready; }
  bool host_ready() const { return host_ready_; }

  // ---- Ends.
  // Looks whether the program on the host has gone altogether, after it had ended its direction.
  void CheckHangUp();
  // True while nothing is read from the socket any more, which would have told.
  bool needs_hang_up_check() const {
    const bool reads = !host_ended_ && (guest_shutdown_ & VIRTIO_VSOCK_SHUTDOWN_RCV) == 0;
    return !reads && !host_gone_ && socket_.valid();
  }
  bool closing() const { return state_ == State::kClosing; }
  std::optional<Clock::time_point> deadline;

  // What the host is still to get, for whoever sees to it after the connection.
  ByteQueue TakeUnsent() { return std::move(unsent_); }
  bool has_unsent() const { return !unsent_.empty(); }
  UniqueFd TakeSocket();
  // Tells the program on the host that the connection stands. False if it has gone.
  [[nodiscard]] bool SayOk();

  // The socket's watch; null for the power button.
  std::unique_ptr<Watch> watch;
  // True while the device has it in its list of connections with something for the guest.
  bool queued = false;

 private:
  enum class State { kRequested, kEstablished, kClosing };
  // Packets owed to the guest, as bits: each is owed at most once, so nothing needs a list.
  enum Control : uint32_t {
    kRequest = 1U << 0U,
    kResponse = 1U << 1U,
    kShutdown = 1U << 2U,
    kCreditUpdate = 1U << 3U,
  };

  Connection(Ports ports, UniqueFd socket, uint32_t buf_alloc, State state, uint32_t control);

  Verdict OnShutdown(uint32_t flags);
  void OnHostEnded();
  void OnHostGone();
  void Owe(Control control) { control_ |= control; }
  void OweShutdown(uint32_t flags);
  void AfterForwarding(uint64_t bytes);
  // Passes on the guest's end of its direction once everything before it has been passed on.
  void PassGuestEnd();
  // Both directions have ended, and the host has got everything.
  bool Finished() const;
  void CloseIfFinished();
  Header WithCredit(uint16_t op);

  Ports ports_;
  UniqueFd socket_;
  State state_;
  uint32_t control_;
  GuestCredit guest_credit_;
  HostCredit host_credit_;
  ByteQueue unsent_;
  uint32_t guest_shutdown_ = 0;  // VIRTIO_VSOCK_SHUTDOWN_* that the guest has said, for ever
  uint32_t host_shutdown_ = 0;   // the same that we have said or owe
  bool host_ready_ = false;
  bool host_ended_ = false;  // nothing more comes from the host
  bool host_gone_ = false;   // nothing can be sent to the host any more
  bool guest_end_passed_ = false;
};

}  // namespace hull::vsock
