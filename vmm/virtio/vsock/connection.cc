#include "vmm/virtio/vsock/connection.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <string>
#include <utility>

#include "vmm/base/check.h"
#include "vmm/virtio/vsock/host_socket.h"

namespace hull::vsock {
namespace {

constexpr uint32_t kBoth = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;

}  // namespace

Connection::Connection(Ports ports, UniqueFd socket, uint32_t buf_alloc, State state,
                       uint32_t control)
    : ports_(ports),
      socket_(std::move(socket)),
      state_(state),
      control_(control),
      host_credit_(buf_alloc),
      unsent_(buf_alloc) {}

std::unique_ptr<Connection> Connection::Requesting(Ports ports, UniqueFd socket,
                                                   uint32_t buf_alloc) {
  return std::unique_ptr<Connection>(
      new Connection(ports, std::move(socket), buf_alloc, State::kRequested, kRequest));
}

std::unique_ptr<Connection> Connection::Accepted(Ports ports, UniqueFd socket, uint32_t buf_alloc) {
  return std::unique_ptr<Connection>(
      new Connection(ports, std::move(socket), buf_alloc, State::kEstablished, kResponse));
}

Connection::Verdict Connection::OnControl(const Header& header) {
  if (header.op == VIRTIO_VSOCK_OP_RST) return Verdict::kGone;
  if (state_ == State::kRequested) {
    // Before the request has reached the guest it cannot have answered it.
    if (header.op != VIRTIO_VSOCK_OP_RESPONSE || (control_ & kRequest) != 0) return Verdict::kReset;
    state_ = State::kEstablished;
    return Verdict::kKeep;
  }
  switch (header.op) {
    case VIRTIO_VSOCK_OP_SHUTDOWN:
      return OnShutdown(header.flags);
    case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
      Owe(kCreditUpdate);
      return Verdict::kKeep;
    case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
      return Verdict::kKeep;
    default:
      // REQUEST for a connection that exists, RESPONSE that nobody waits for, no such operation.
      return Verdict::kReset;
  }
}

Connection::Verdict Connection::OnShutdown(uint32_t flags) {
  // virtio 1.2, 5.10.6.5: bits once set stay set.
  guest_shutdown_ |= flags & kBoth;
  if (guest_shutdown_ == kBoth) return Verdict::kClose;
  if ((guest_shutdown_ & VIRTIO_VSOCK_SHUTDOWN_RCV) != 0 && socket_.valid()) {
    // The program on the host gets EPIPE instead of filling a socket that nobody empties.
    static_cast<void>(shutdown(socket_.get(), SHUT_RD));
  }
  PassGuestEnd();
  CloseIfFinished();
  return Verdict::kKeep;
}

bool Connection::OnPayloadHeader(uint32_t bytes) {
  if (state_ == State::kRequested) return false;
  if ((guest_shutdown_ & VIRTIO_VSOCK_SHUTDOWN_SEND) != 0) return false;
  return host_credit_.OnReceived(bytes);
}

void Connection::Forward(IoVectors& vectors, std::span<Payload> payloads) {
  const uint64_t total = vectors.total_bytes();
  uint64_t sent = 0;
  if (socket_.valid() && !host_gone_ && unsent_.empty()) {
    const SocketResult result = SendTo(socket_.get(), vectors);
    sent = result.bytes;
    if (result.broken) OnHostGone();
  }
  if (!socket_.valid() || host_gone_) {
    // Nobody is there to get it. The guest is told by SHUTDOWN; until it knows, it is not to wait.
    AfterForwarding(total);
    return;
  }
  AfterForwarding(sent);
  for (Payload& payload : payloads) {
    const uint64_t skip = std::min<uint64_t>(sent, payload.bytes);
    sent -= skip;
    payload.reader.Skip(skip);
    const auto keep = static_cast<size_t>(payload.bytes - skip);
    // Within the cap: OnPayloadHeader lets in no more than buf_alloc, and that is the cap.
    if (keep > 0) payload.reader.Read(unsent_.Grow(keep));
  }
  if (!unsent_.empty()) watch->WatchWritable(true);
}

void Connection::OnWritable() {
  while (!unsent_.empty()) {
    const SocketResult result = SendTo(socket_.get(), unsent_.front());
    if (result.broken) {
      OnHostGone();
      break;
    }
    if (result.bytes == 0) return;
    unsent_.Pop(result.bytes);
    AfterForwarding(result.bytes);
  }
  watch->WatchWritable(false);
  PassGuestEnd();
  CloseIfFinished();
}

void Connection::AfterForwarding(uint64_t bytes) {
  host_credit_.OnForwarded(static_cast<uint32_t>(bytes));
  const bool guest_sends = (guest_shutdown_ & VIRTIO_VSOCK_SHUTDOWN_SEND) == 0;
  if (guest_sends && host_credit_.update_due()) Owe(kCreditUpdate);
}

Header Connection::WithCredit(uint16_t op) {
  control_ &= ~uint32_t{kCreditUpdate};
  return Header{
      .op = op, .buf_alloc = host_credit_.buf_alloc(), .fwd_cnt = host_credit_.Announce()};
}

Header Connection::NextControl() {
  HULL_CHECK(control_ != 0);
  // The order of the bits is the order of sending: a RESPONSE comes before anything else.
  const uint32_t next = 1U << static_cast<unsigned>(std::countr_zero(control_));
  // A SHUTDOWN waits for the data before it: the device reads on until the end has been seen, and
  // only then it is owed.
  control_ &= ~next;
  switch (next) {
    case kRequest:
      return WithCredit(VIRTIO_VSOCK_OP_REQUEST);
    case kResponse:
      return WithCredit(VIRTIO_VSOCK_OP_RESPONSE);
    case kShutdown: {
      Header header = WithCredit(VIRTIO_VSOCK_OP_SHUTDOWN);
      header.flags = host_shutdown_;
      return header;
    }
    default:
      return WithCredit(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
  }
}

uint32_t Connection::ReadableBudget(uint32_t limit) const {
  if (state_ != State::kEstablished || host_ended_ || !socket_.valid()) return 0;
  if ((guest_shutdown_ & VIRTIO_VSOCK_SHUTDOWN_RCV) != 0) return 0;
  return std::min(limit, guest_credit_.free_bytes());
}

Connection::Read Connection::ReadFromHost(const IoVectors& vectors) {
  const SocketResult result = ReceiveFrom(socket_.get(), vectors);
  if (result.broken || result.ended) {
    OnHostEnded();
    return {.result = ReadResult::kEnd, .bytes = 0};
  }
  const auto bytes = static_cast<uint32_t>(result.bytes);
  guest_credit_.OnSent(bytes);
  const bool full = bytes == vectors.total_bytes();
  return {.result = full ? ReadResult::kData : ReadResult::kDrained, .bytes = bytes};
}

Header Connection::DataHeader(uint32_t bytes) {
  Header header = WithCredit(VIRTIO_VSOCK_OP_RW);
  header.payload_bytes = bytes;
  return header;
}

void Connection::OnHostEnded() {
  host_ended_ = true;
  host_ready_ = false;
  watch->WatchReadable(false);
  OweShutdown(VIRTIO_VSOCK_SHUTDOWN_SEND);
  CheckHangUp();
  CloseIfFinished();
}

void Connection::CheckHangUp() {
  if (!needs_hang_up_check()) return;
  pollfd entry{.fd = socket_.get(), .events = 0, .revents = 0};
  if (poll(&entry, 1, 0) == 1 && (entry.revents & (POLLHUP | POLLERR)) != 0) OnHostGone();
}

void Connection::OnHostGone() {
  if (host_gone_) return;
  host_gone_ = true;
  AfterForwarding(unsent_.size());
  unsent_.Pop(unsent_.size());
  watch->WatchWritable(false);
  // What the host sent before it went is still read; its end comes after it, by ReadFromHost.
  OweShutdown(VIRTIO_VSOCK_SHUTDOWN_RCV);
  CloseIfFinished();
}

void Connection::OweShutdown(uint32_t flags) {
  if ((host_shutdown_ | flags) == host_shutdown_) return;
  host_shutdown_ |= flags;
  if (host_shutdown_ == kBoth) state_ = State::kClosing;
  Owe(kShutdown);
}

void Connection::PassGuestEnd() {
  if (guest_end_passed_ || (guest_shutdown_ & VIRTIO_VSOCK_SHUTDOWN_SEND) == 0) return;
  if (!unsent_.empty()) return;
  guest_end_passed_ = true;
  if (socket_.valid()) static_cast<void>(shutdown(socket_.get(), SHUT_WR));
}

bool Connection::Finished() const {
  const bool to_guest_ended = host_ended_ || (guest_shutdown_ & VIRTIO_VSOCK_SHUTDOWN_RCV) != 0;
  return to_guest_ended && (guest_end_passed_ || host_gone_);
}

void Connection::CloseIfFinished() {
  // Nothing can flow any more: say so whole, and the guest confirms by RST.
  if (state_ == State::kEstablished && Finished()) OweShutdown(kBoth);
}

UniqueFd Connection::TakeSocket() {
  watch.reset();
  return std::move(socket_);
}

bool Connection::SayOk() {
  if (!socket_.valid()) return true;
  const std::string line = fmt::format("OK {}\n", ports_.host);
  const SocketResult result = SendTo(socket_.get(), std::as_bytes(std::span(line)));
  // Nothing was sent on this socket before, so it takes a line whole or is broken.
  return !result.broken && result.bytes == line.size();
}

}  // namespace hull::vsock
