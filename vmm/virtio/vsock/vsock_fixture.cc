#include "vmm/virtio/vsock/vsock_fixture.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <span>

#include "vmm/virtio/vsock/host_socket.h"

namespace hull::vsock {
namespace {

std::string_view Text(std::span<const std::byte> bytes) {
  // SAFETY: bytes seen as characters.
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Status GuestDriver::AddBuffers(size_t count, uint32_t bytes) {
  for (size_t i = 0; i < count; ++i) harness_.ring(0).Chain().Writable(bytes).Submit();
  return harness_.Notify(0);
}

void GuestDriver::Queue(Header header, std::string_view payload) {
  const HeaderBytes bytes = Encode(header);
  auto chain = harness_.ring(1).Chain();
  chain.Readable(Text(bytes));
  if (!payload.empty()) chain.Readable(payload);
  chain.Submit();
}

Status GuestDriver::NotifyTransmit() {
  Status status = harness_.Notify(1);
  while (harness_.ring(1).TakeUsed()) {
  }
  return status;
}

Status GuestDriver::Send(Header header, std::string_view payload) {
  Queue(header, payload);
  return NotifyTransmit();
}

std::optional<Packet> GuestDriver::Take() {
  const std::optional<FakeRing::Used> used = harness_.ring(0).TakeUsed();
  if (!used) return std::nullopt;
  const std::string content = harness_.ring(0).Written(*used);
  harness_.ring(0).Chain().Writable(kBufferBytes).Submit();
  if (content.size() < kHeaderBytes) {
    ADD_FAILURE() << "a packet of " << content.size() << " bytes";
    return std::nullopt;
  }
  const auto bytes = std::as_bytes(std::span(content));
  Packet packet{.header = Decode(bytes.first<kHeaderBytes>()),
                .payload = content.substr(kHeaderBytes)};
  EXPECT_EQ(packet.header.payload_bytes, packet.payload.size());
  return packet;
}

VsockFixture::VsockFixture() {
  char name[] = "/tmp/hull-vsock-XXXXXX";
  directory_ = mkdtemp(name);
  path_ = directory_ + "/v";
  loop_ = EventLoop::Create().value();
  MakeDevice();
}

void VsockFixture::MakeDevice(const TimeLimits& limits) {
  guest_.reset();
  device_.reset();
  device_ = Vsock::Create(GuestDriver::kCid, path_, *loop_, limits).value();
  guest_.emplace(*device_);
}

VsockFixture::~VsockFixture() {
  if (device_) device_->Reset([] {});
  device_.reset();
  for (const std::string& path : listening_paths_) unlink(path.c_str());
  EXPECT_EQ(rmdir(directory_.c_str()), 0) << "the device has left its socket behind";
}

void VsockFixture::Settle() {
  while (loop_->PollFor(std::chrono::milliseconds(2)) > 0) {
  }
}

UniqueFd VsockFixture::Dial() const {
  return ConnectTo(path_).value();
}

void VsockFixture::Say(const UniqueFd& socket, std::string_view text) {
  ASSERT_EQ(send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(text.size()));
}

std::string VsockFixture::Hear(const UniqueFd& socket) {
  std::string text;
  std::array<char, 65536> piece;
  while (true) {
    const ssize_t bytes = recv(socket.get(), piece.data(), piece.size(), MSG_DONTWAIT);
    if (bytes == 0) return text + "<end>";
    if (bytes < 0) return errno == EAGAIN ? text : text + "<" + std::strerror(errno) + ">";
    text.append(piece.data(), static_cast<size_t>(bytes));
  }
}

UniqueFd VsockFixture::ListenOn(uint32_t port) {
  listening_paths_.push_back(path_ + "_" + std::to_string(port));
  return ListenAt(listening_paths_.back()).value();
}

UniqueFd VsockFixture::Accept(const UniqueFd& listener) {
  return AcceptFrom(listener.get()).value();
}

Packet VsockFixture::Expect(uint16_t op) {
  std::optional<Packet> packet;
  EXPECT_TRUE(RunUntil([&] {
    packet = guest_->Take();
    return packet.has_value();
  })) << "no packet, expected op "
      << op;
  if (!packet) return {};
  EXPECT_EQ(packet->header.op, op);
  EXPECT_EQ(packet->header.source_cid, kHostCid);
  EXPECT_EQ(packet->header.destination_cid, GuestDriver::kCid);
  EXPECT_TRUE(guest_->AddBuffers(0));
  return *packet;
}

void VsockFixture::ExpectNothing() {
  Settle();
  const std::optional<Packet> packet = guest_->Take();
  if (packet) ADD_FAILURE() << "unexpected packet, op " << packet->header.op;
}

Header VsockFixture::FromGuest(uint16_t op, Ports ports) {
  return Header{.source_cid = GuestDriver::kCid,
                .destination_cid = kHostCid,
                .source_port = ports.guest,
                .destination_port = ports.host,
                .op = op,
                .buf_alloc = 256U << 10U};
}

VsockFixture::Established VsockFixture::EstablishFromHost(uint32_t port, uint32_t buf_alloc) {
  Established connection{.host = Dial(), .ports = {}};
  Say(connection.host, "CONNECT " + std::to_string(port) + "\n");
  const Packet request = Expect(VIRTIO_VSOCK_OP_REQUEST);
  connection.ports = {.host = request.header.source_port, .guest = request.header.destination_port};
  Header response = FromGuest(VIRTIO_VSOCK_OP_RESPONSE, connection.ports);
  response.buf_alloc = buf_alloc;
  EXPECT_TRUE(guest_->Send(response));
  EXPECT_EQ(Hear(connection.host), "OK " + std::to_string(connection.ports.host) + "\n");
  return connection;
}

VsockFixture::Established VsockFixture::EstablishFromGuest(uint32_t port, uint32_t buf_alloc) {
  const UniqueFd listener = ListenOn(port);
  const Ports ports{.host = port, .guest = 1000 + port};
  Header request = FromGuest(VIRTIO_VSOCK_OP_REQUEST, ports);
  request.buf_alloc = buf_alloc;
  EXPECT_TRUE(guest_->Send(request));
  Expect(VIRTIO_VSOCK_OP_RESPONSE);
  return {.host = Accept(listener), .ports = ports};
}

}  // namespace hull::vsock
