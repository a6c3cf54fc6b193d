// Vsock between a driver and programs on the host, when everybody keeps to the protocol.
#include "vmm/virtio/vsock/vsock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_vsock.h>
#include <sys/socket.h>

#include <string>

#include "vmm/virtio/vsock/limits.h"
#include "vmm/virtio/vsock/vsock_fixture.h"

namespace hull::vsock {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

constexpr uint32_t kPort = 1024;
constexpr uint32_t kBoth = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;

// Content that shows a byte that is lost, doubled or out of place.
std::string Pattern(size_t bytes, size_t from = 0) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(((from + i) * 2654435761U) >> 13U);
  return text;
}

class VsockTest : public VsockFixture {
 protected:
  VsockTest() {
    EXPECT_TRUE(guest_->Activate());
    EXPECT_TRUE(guest_->AddBuffers(64));
  }

  // Sends `data` as the guest, in packets of at most `piece`; no credit is looked at.
  void SendData(Ports ports, std::string_view data, size_t piece = 65536) {
    while (!data.empty()) {
      const std::string_view part = data.substr(0, piece);
      Header header = FromGuest(VIRTIO_VSOCK_OP_RW, ports);
      header.payload_bytes = static_cast<uint32_t>(part.size());
      ASSERT_TRUE(guest_->Send(header, part));
      data.remove_prefix(part.size());
    }
  }

  // Takes packets with payload until `bytes` have come; fails at any other packet.
  std::string TakeData(size_t bytes) {
    std::string data;
    while (data.size() < bytes) {
      const Packet packet = Expect(VIRTIO_VSOCK_OP_RW);
      if (packet.payload.empty()) break;
      data += packet.payload;
    }
    return data;
  }

  void Shutdown(Ports ports, uint32_t flags) {
    Header header = FromGuest(VIRTIO_VSOCK_OP_SHUTDOWN, ports);
    header.flags = flags;
    ASSERT_TRUE(guest_->Send(header));
  }

  uint64_t Counter(std::string_view name) const {
    for (const CounterReading& reading : device_->Counters())
      if (reading.name == name) return reading.value;
    ADD_FAILURE() << "no counter " << name;
    return 0;
  }
};

TEST_F(VsockTest, ConfigurationTellsTheGuestItsCid) {
  EXPECT_EQ(guest_->harness().ReadConfig<uint64_t>(0), GuestDriver::kCid);
  EXPECT_EQ(guest_->harness().ReadConfig<uint64_t>(8), 0U);
  EXPECT_EQ(device_->device_id(), static_cast<uint32_t>(VIRTIO_ID_VSOCK));
}

TEST_F(VsockTest, ReservedCidsAreRefused) {
  for (const uint64_t cid : {0ULL, 1ULL, 2ULL, 0xffffffffULL, 0x100000000ULL})
    EXPECT_FALSE(Vsock::Create(cid, path_ + "2", *loop_)) << cid;
}

TEST_F(VsockTest, HostConnectsAndTheGuestAccepts) {
  const Established connection = EstablishFromHost(kPort);
  EXPECT_EQ(connection.ports.guest, kPort);
  EXPECT_GE(connection.ports.host, kFirstHostPort);
  EXPECT_EQ(Counter("host_connections"), 1U);
}

TEST_F(VsockTest, RequestOffersTheLargeBuffer) {
  const UniqueFd host = Dial();
  Say(host, "CONNECT 1024\n");
  const Packet request = Expect(VIRTIO_VSOCK_OP_REQUEST);
  EXPECT_EQ(request.header.buf_alloc, kLargeBufferBytes);
  EXPECT_EQ(request.header.fwd_cnt, 0U);
  EXPECT_EQ(request.header.type, VIRTIO_VSOCK_TYPE_STREAM);
}

TEST_F(VsockTest, HostThatConnectsBeforeTheDriverIsReadyWaitsForIt) {
  MakeDevice();
  const UniqueFd host = Dial();
  Say(host, "CONNECT 1024\nearly");
  Settle();
  ASSERT_TRUE(guest_->Activate());
  ExpectNothing();  // no buffers yet
  ASSERT_TRUE(guest_->AddBuffers(4));
  const Packet request = Expect(VIRTIO_VSOCK_OP_REQUEST);
  const Ports ports{.host = request.header.source_port, .guest = kPort};
  ASSERT_TRUE(guest_->Send(FromGuest(VIRTIO_VSOCK_OP_RESPONSE, ports)));
  EXPECT_EQ(TakeData(5), "early");
  EXPECT_THAT(Hear(host), HasSubstr("OK "));
}

TEST_F(VsockTest, ConnectLineMayComeInPiecesAndWithDataBehindIt) {
  const UniqueFd host = Dial();
  for (const char* piece : {"CON", "NECT ", "10"}) {
    Say(host, piece);
    Settle();
  }
  Say(host, "24\nCONNECT 7\n");
  const Packet request = Expect(VIRTIO_VSOCK_OP_REQUEST);
  EXPECT_EQ(request.header.destination_port, kPort);
  const Ports ports{.host = request.header.source_port, .guest = kPort};
  ASSERT_TRUE(guest_->Send(FromGuest(VIRTIO_VSOCK_OP_RESPONSE, ports)));
  EXPECT_EQ(TakeData(10), "CONNECT 7\n");
}

TEST_F(VsockTest, WrongFirstLineIsTurnedAway) {
  const UniqueFd host = Dial();
  Say(host, "GET / HTTP/1.1\r\n");
  EXPECT_TRUE(RunUntil([&] { return Hear(host) != ""; }));
  ExpectNothing();
}

TEST_F(VsockTest, RefusalByTheGuestEndsTheHostsSocketWithoutOk) {
  const UniqueFd host = Dial();
  Say(host, "CONNECT 1024\n");
  const Packet request = Expect(VIRTIO_VSOCK_OP_REQUEST);
  const Ports ports{.host = request.header.source_port, .guest = kPort};
  ASSERT_TRUE(guest_->Send(FromGuest(VIRTIO_VSOCK_OP_RST, ports)));
  EXPECT_EQ(Hear(host), "<end>");
  ExpectNothing();
}

TEST_F(VsockTest, GuestReachesTheSocketNamedAfterThePort) {
  const Established connection = EstablishFromGuest(52);
  SendData(connection.ports, "hello");
  EXPECT_EQ(Hear(connection.host), "hello");
  EXPECT_EQ(Counter("guest_connections"), 1U);
}

TEST_F(VsockTest, GuestIsRefusedWhereNobodyListens) {
  const Ports ports{.host = 53, .guest = 7};
  ASSERT_TRUE(guest_->Send(FromGuest(VIRTIO_VSOCK_OP_REQUEST, ports)));
  const Packet reset = Expect(VIRTIO_VSOCK_OP_RST);
  EXPECT_EQ(reset.header.source_port, 53U);
  EXPECT_EQ(reset.header.destination_port, 7U);
  EXPECT_EQ(Counter("refused"), 1U);
}

TEST_F(VsockTest, BytesArriveInOrderInBothDirections) {
  const Established connection = EstablishFromHost(kPort);
  const std::string to_guest = Pattern(150000);
  const std::string to_host = Pattern(150000, 7);
  Say(connection.host, to_guest);
  EXPECT_EQ(TakeData(to_guest.size()), to_guest);
  SendData(connection.ports, to_host, 4321);
  EXPECT_EQ(Hear(connection.host), to_host);
  EXPECT_EQ(Counter("bytes_to_guest"), to_guest.size());
  EXPECT_EQ(Counter("bytes_from_guest"), to_host.size());
}

TEST_F(VsockTest, PacketsQueuedTogetherBecomeOneWriteAndOneInterrupt) {
  const Established connection = EstablishFromHost(kPort);
  const std::string data = Pattern(40 * 1000);
  for (size_t i = 0; i < 40; ++i) {
    Header header = FromGuest(VIRTIO_VSOCK_OP_RW, connection.ports);
    header.payload_bytes = 1000;
    guest_->Queue(header, std::string_view(data).substr(i * 1000, 1000));
  }
  guest_->harness().signals().used_buffers = 0;
  guest_->harness().ring(1).AskForInterruptAt(
      static_cast<uint16_t>(guest_->harness().ring(1).used_index()));
  ASSERT_TRUE(guest_->NotifyTransmit());
  EXPECT_EQ(guest_->harness().signals().used_buffers, 1);
  EXPECT_EQ(Hear(connection.host), data);
}

TEST_F(VsockTest, TransmitBufferComesBackWithTheNextPacketToTheGuestInOneInterrupt) {
  const Established connection = EstablishFromHost(kPort);
  DeviceHarness& harness = guest_->harness();
  FakeRing& transmit = harness.ring(1);
  EXPECT_TRUE(RunUntil([&] { return harness.ring(1).used_index() == 1; }));  // the response
  harness.ring(0).AskForInterruptAt(harness.ring(0).used_index());
  transmit.AskForInterruptAt(1);
  harness.signals().used_buffers = 0;
  SendData(connection.ports, "question");
  EXPECT_EQ(harness.signals().used_buffers, 0);
  EXPECT_EQ(transmit.used_index(), 1);
  Say(connection.host, "answer");
  EXPECT_EQ(TakeData(6), "answer");
  EXPECT_EQ(transmit.used_index(), 2);
  EXPECT_EQ(harness.signals().used_buffers, 1);
}

TEST_F(VsockTest, TransmitBufferComesBackAfterAWhileWithoutAPacketToTheGuest) {
  const Established connection = EstablishFromHost(kPort);
  FakeRing& transmit = guest_->harness().ring(1);
  EXPECT_TRUE(RunUntil([&] { return transmit.used_index() == 1; }));
  transmit.AskForInterruptAt(1);
  guest_->harness().signals().used_buffers = 0;
  SendData(connection.ports, "x");
  EXPECT_TRUE(RunUntil([&] { return transmit.used_index() == 2; }));
  EXPECT_EQ(guest_->harness().signals().used_buffers, 1);
}

TEST_F(VsockTest, HostIsReadOnlyAsFarAsTheGuestHasCredit) {
  const Established connection = EstablishFromHost(kPort, 10000);
  const std::string data = Pattern(25000);
  Say(connection.host, data);
  EXPECT_EQ(TakeData(10000), data.substr(0, 10000));
  ExpectNothing();
  // The guest has taken 4,000 bytes out of its buffer.
  Header update = FromGuest(VIRTIO_VSOCK_OP_CREDIT_UPDATE, connection.ports);
  update.buf_alloc = 10000;
  update.fwd_cnt = 4000;
  ASSERT_TRUE(guest_->Send(update));
  EXPECT_EQ(TakeData(4000), data.substr(10000, 4000));
  ExpectNothing();
  update.buf_alloc = 20000;
  update.fwd_cnt = 14000;
  ASSERT_TRUE(guest_->Send(update));
  EXPECT_EQ(TakeData(11000), data.substr(14000));
}

TEST_F(VsockTest, HostWaitsWhileTheGuestHasNoBuffers) {
  MakeDevice();
  ASSERT_TRUE(guest_->Activate());
  ASSERT_TRUE(guest_->AddBuffers(1));
  const Established connection = EstablishFromHost(kPort);
  const std::string data = Pattern(3 * (GuestDriver::kBufferBytes - kHeaderBytes));
  Say(connection.host, data);
  Settle();
  std::string taken;
  for (int i = 0; i < 3; ++i) {
    // Each packet taken gives one buffer back, and the device gets to know of it.
    const Packet packet = Expect(VIRTIO_VSOCK_OP_RW);
    taken += packet.payload;
  }
  EXPECT_EQ(taken, data);
}

TEST_F(VsockTest, SlowHostReaderMakesTheGuestWaitAndLosesNothing) {
  const Established connection = EstablishFromHost(kPort);
  // What Unix sockets and the credit hold together; the guest keeps to its credit.
  std::string sent;
  uint32_t credit = kLargeBufferBytes;
  uint32_t last_forwarded = 0;
  std::string heard;
  bool waited = false;
  while (sent.size() < 3U << 20U) {
    const uint32_t bytes = std::min<uint32_t>(credit, 60000);
    if (bytes > 0) {
      const std::string data = Pattern(bytes, sent.size());
      SendData(connection.ports, data);
      sent += data;
      credit -= bytes;
    }
    if (const auto packet = guest_->Take()) {
      ASSERT_EQ(packet->header.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
      credit += packet->header.fwd_cnt - last_forwarded;
      last_forwarded = packet->header.fwd_cnt;
    } else if (bytes == 0) {
      // The guest is stuck, so the reader reads a little.
      waited = true;
      heard += Hear(connection.host);
      Settle();
    }
  }
  EXPECT_TRUE(waited);
  EXPECT_TRUE(RunUntil([&] {
    heard += Hear(connection.host);
    return heard.size() >= sent.size();
  }));
  EXPECT_EQ(heard, sent);
}

TEST_F(VsockTest, CreditIsTakenBackOnlyWhenHalfOfTheBufferWasForwarded) {
  const Established connection = EstablishFromHost(kPort);
  SendData(connection.ports, Pattern(kLargeBufferBytes / 2 - 1), 65536);
  Hear(connection.host);
  ExpectNothing();
  SendData(connection.ports, "x");
  const Packet update = Expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
  EXPECT_EQ(update.header.fwd_cnt, kLargeBufferBytes / 2);
}

TEST_F(VsockTest, CreditRequestIsAnsweredAtOnce) {
  const Established connection = EstablishFromHost(kPort);
  SendData(connection.ports, "12345");
  ASSERT_TRUE(guest_->Send(FromGuest(VIRTIO_VSOCK_OP_CREDIT_REQUEST, connection.ports)));
  const Packet update = Expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
  EXPECT_EQ(update.header.fwd_cnt, 5U);
  EXPECT_EQ(update.header.buf_alloc, kLargeBufferBytes);
}

TEST_F(VsockTest, HalfCloseByTheHostReachesTheGuestAfterTheData) {
  const Established connection = EstablishFromHost(kPort);
  Say(connection.host, "last words");
  ASSERT_EQ(shutdown(connection.host.get(), SHUT_WR), 0);
  EXPECT_EQ(TakeData(10), "last words");
  EXPECT_EQ(Expect(VIRTIO_VSOCK_OP_SHUTDOWN).header.flags,
            static_cast<uint32_t>(VIRTIO_VSOCK_SHUTDOWN_SEND));
  // The other direction lives on.
  SendData(connection.ports, "answer");
  EXPECT_EQ(Hear(connection.host), "answer");
}

TEST_F(VsockTest, HalfCloseByTheGuestReachesTheHostAfterTheData) {
  const Established connection = EstablishFromHost(kPort);
  SendData(connection.ports, "last words");
  Shutdown(connection.ports, VIRTIO_VSOCK_SHUTDOWN_SEND);
  EXPECT_EQ(Hear(connection.host), "last words<end>");
  Say(connection.host, "answer");
  EXPECT_EQ(TakeData(6), "answer");
}

TEST_F(VsockTest, BothHalvesClosedOneAfterTheOtherEndTheConnection) {
  const Established connection = EstablishFromHost(kPort);
  Shutdown(connection.ports, VIRTIO_VSOCK_SHUTDOWN_SEND);
  ASSERT_EQ(shutdown(connection.host.get(), SHUT_WR), 0);
  EXPECT_EQ(Expect(VIRTIO_VSOCK_OP_SHUTDOWN).header.flags, kBoth);
  ASSERT_TRUE(guest_->Send(FromGuest(VIRTIO_VSOCK_OP_RST, connection.ports)));
  ExpectNothing();
  // It is gone: the next packet of it is answered by RST.
  ASSERT_TRUE(guest_->Send(FromGuest(VIRTIO_VSOCK_OP_CREDIT_UPDATE, connection.ports)));
  Expect(VIRTIO_VSOCK_OP_RST);
}

TEST_F(VsockTest, CloseByTheGuestIsConfirmedAndTheHostSeesTheEnd) {
  const Established connection = EstablishFromHost(kPort);
  SendData(connection.ports, "bye");
  Shutdown(connection.ports, kBoth);
  Expect(VIRTIO_VSOCK_OP_RST);
  EXPECT_EQ(Hear(connection.host), "bye<end>");
}

TEST_F(VsockTest, ShutdownBitsOfSeveralPacketsAddUp) {
  const Established connection = EstablishFromHost(kPort);
  Shutdown(connection.ports, VIRTIO_VSOCK_SHUTDOWN_RCV);
  ExpectNothing();
  Shutdown(connection.ports, VIRTIO_VSOCK_SHUTDOWN_SEND);
  Expect(VIRTIO_VSOCK_OP_RST);
}

TEST_F(VsockTest, WhatTheGuestSentBeforeClosingReachesAReaderThatComesLate) {
  const Established connection = EstablishFromHost(kPort);
  // Fill the socket first, so that a whole credit stays with the device.
  std::string data;
  uint32_t in_flight = 0;
  uint32_t forwarded = 0;
  while (true) {
    const uint32_t bytes = std::min<uint32_t>(kLargeBufferBytes - in_flight, 50000);
    if (bytes == 0) break;
    const std::string piece = Pattern(bytes, data.size());
    SendData(connection.ports, piece);
    data += piece;
    in_flight += bytes;
    while (const auto packet = guest_->Take()) {
      in_flight -= packet->header.fwd_cnt - forwarded;
      forwarded = packet->header.fwd_cnt;
    }
  }
  ASSERT_GT(data.size(), kLargeBufferBytes + 100000U);
  Shutdown(connection.ports, kBoth);
  Expect(VIRTIO_VSOCK_OP_RST);  // the guest need not wait for the reader

  std::string heard;
  EXPECT_TRUE(RunUntil([&] {
    heard += Hear(connection.host);
    return heard.size() >= data.size() + 5;
  }));
  EXPECT_EQ(heard, data + "<end>");
}

TEST_F(VsockTest, WhatTheGuestSentBeforeAHalfCloseReachesAReaderThatComesLate) {
  const Established connection = EstablishFromHost(kPort);
  const std::string data = Pattern(kLargeBufferBytes);
  ASSERT_EQ(setsockopt(connection.host.get(), SOL_SOCKET, SO_RCVBUF, "\0\x10\0", 4), 0);
  SendData(connection.ports, data);
  Shutdown(connection.ports, VIRTIO_VSOCK_SHUTDOWN_SEND);
  std::string heard;
  EXPECT_TRUE(RunUntil([&] {
    heard += Hear(connection.host);
    return heard.ends_with("<end>");
  }));
  EXPECT_EQ(heard, data + "<end>");
}

TEST_F(VsockTest, CloseByTheHostDeliversItsDataThenEndsBothDirections) {
  Established connection = EstablishFromHost(kPort);
  Say(connection.host, "bye");
  connection.host.Reset();
  EXPECT_EQ(TakeData(3), "bye");
  EXPECT_EQ(Expect(VIRTIO_VSOCK_OP_SHUTDOWN).header.flags, kBoth);
}

TEST_F(VsockTest, CloseByTheHostAfterAHalfCloseIsNoticed) {
  TimeLimits limits;
  limits.tick = std::chrono::milliseconds(20);
  MakeDevice(limits);
  ASSERT_TRUE(guest_->Activate());
  ASSERT_TRUE(guest_->AddBuffers(16));
  Established connection = EstablishFromHost(kPort);
  ASSERT_EQ(shutdown(connection.host.get(), SHUT_WR), 0);
  EXPECT_EQ(Expect(VIRTIO_VSOCK_OP_SHUTDOWN).header.flags,
            static_cast<uint32_t>(VIRTIO_VSOCK_SHUTDOWN_SEND));
  connection.host.Reset();
  EXPECT_EQ(Expect(VIRTIO_VSOCK_OP_SHUTDOWN).header.flags, kBoth);
}

TEST_F(VsockTest, GuestThatSendsToAHostThatHasGoneIsToldAndNeverStuck) {
  Established connection = EstablishFromHost(kPort);
  connection.host.Reset();
  // Before anything was noticed: data goes nowhere, the end comes back.
  SendData(connection.ports, Pattern(50000));
  EXPECT_EQ(Expect(VIRTIO_VSOCK_OP_SHUTDOWN).header.flags & VIRTIO_VSOCK_SHUTDOWN_RCV,
            static_cast<uint32_t>(VIRTIO_VSOCK_SHUTDOWN_RCV));
  // A guest that has not yet seen that may go on to the end of its credit, and beyond once told.
  SendData(connection.ports, Pattern(kLargeBufferBytes - 50000));
  ASSERT_TRUE(guest_->Send(FromGuest(VIRTIO_VSOCK_OP_CREDIT_REQUEST, connection.ports)));
  bool told = false;
  EXPECT_TRUE(RunUntil([&] {
    const auto packet = guest_->Take();
    told = told || (packet && packet->header.fwd_cnt == kLargeBufferBytes);
    return told;
  }));
}

TEST_F(VsockTest, HostStopsBeingReadWhenTheGuestReceivesNoMore) {
  const Established connection = EstablishFromHost(kPort);
  Shutdown(connection.ports, VIRTIO_VSOCK_SHUTDOWN_RCV);
  EXPECT_EQ(send(connection.host.get(), "x", 1, MSG_NOSIGNAL), -1);
  EXPECT_EQ(errno, EPIPE);
  SendData(connection.ports, "still speaking");
  EXPECT_EQ(Hear(connection.host), "still speaking");
}

TEST_F(VsockTest, ManyConnectionsTakeTurns) {
  std::vector<Established> connections;
  for (uint32_t i = 0; i < 8; ++i) connections.push_back(EstablishFromHost(kPort + i));
  const std::string data = Pattern(100000);
  for (const Established& connection : connections) Say(connection.host, data);
  std::map<uint32_t, std::string> taken;
  size_t total = 0;
  while (total < data.size() * connections.size()) {
    const Packet packet = Expect(VIRTIO_VSOCK_OP_RW);
    if (packet.payload.empty()) break;
    taken[packet.header.destination_port] += packet.payload;
    total += packet.payload.size();
  }
  for (const Established& connection : connections) EXPECT_EQ(taken[connection.ports.guest], data);
}

TEST_F(VsockTest, ConnectionsBeyondTheLargeBuffersGetSmallOnes) {
  std::vector<UniqueFd> hosts;
  std::map<uint32_t, int> grants;
  for (size_t i = 0; i < 80; ++i) {
    hosts.push_back(Dial());
    Say(hosts.back(), "CONNECT 1024\n");
    ++grants[Expect(VIRTIO_VSOCK_OP_REQUEST).header.buf_alloc];
  }
  EXPECT_EQ(grants[kLargeBufferBytes], 64);
  EXPECT_EQ(grants[kSmallBufferBytes], 16);
}

TEST_F(VsockTest, GuestCannotTakeTheConnectionsThatAreKeptForTheHost) {
  const UniqueFd listener = ListenOn(99);
  std::vector<UniqueFd> hosts;
  size_t accepted = 0;
  size_t refused = 0;
  for (uint32_t i = 0; i < kMaxConnections; ++i) {
    ASSERT_TRUE(guest_->Send(FromGuest(VIRTIO_VSOCK_OP_REQUEST, {.host = 99, .guest = 1 + i})));
    const auto packet = guest_->Take();
    ASSERT_TRUE(packet);
    if (packet->header.op == VIRTIO_VSOCK_OP_RST) {
      ++refused;
    } else {
      ++accepted;
      hosts.push_back(Accept(listener));
    }
    ASSERT_TRUE(guest_->AddBuffers(0));
    if (refused > 3) break;
  }
  EXPECT_EQ(accepted, kMaxConnections - kReservedForHost);
  EstablishFromHost(kPort);
}

TEST_F(VsockTest, LimitsOfTimeAreKept) {
  TimeLimits limits;
  limits.connect_line = limits.driver = limits.answer = limits.close =
      std::chrono::milliseconds(50);
  limits.tick = std::chrono::milliseconds(20);
  MakeDevice(limits);
  // Before the driver: one that says nothing, one that has to wait too long.
  const UniqueFd silent = Dial();
  const UniqueFd waiting = Dial();
  Say(waiting, "CONNECT 1024\n");
  EXPECT_TRUE(RunUntil([&] { return Hear(silent) == "<end>"; }));
  EXPECT_TRUE(RunUntil([&] { return Hear(waiting) == "<end>"; }));
  // A guest that does not answer.
  ASSERT_TRUE(guest_->Activate());
  ASSERT_TRUE(guest_->AddBuffers(16));
  const UniqueFd ignored = Dial();
  Say(ignored, "CONNECT 1024\n");
  Expect(VIRTIO_VSOCK_OP_REQUEST);
  Expect(VIRTIO_VSOCK_OP_RST);
  EXPECT_EQ(Hear(ignored), "<end>");
  // A guest that does not confirm an end.
  Established closed = EstablishFromHost(kPort);
  closed.host.Reset();
  Expect(VIRTIO_VSOCK_OP_SHUTDOWN);
  Expect(VIRTIO_VSOCK_OP_RST);
}

TEST_F(VsockTest, PowerButtonIsAnsweredWhenTheGuestAccepts) {
  std::optional<Status> answer;
  device_->PressPowerButton(1026, [&](Status status) { answer = std::move(status); });
  const Packet request = Expect(VIRTIO_VSOCK_OP_REQUEST);
  EXPECT_EQ(request.header.destination_port, 1026U);
  EXPECT_FALSE(answer);
  const Ports ports{.host = request.header.source_port, .guest = 1026};
  ASSERT_TRUE(guest_->Send(FromGuest(VIRTIO_VSOCK_OP_RESPONSE, ports)));
  ASSERT_TRUE(answer);
  EXPECT_TRUE(*answer);
  // The agent may say something, and closes when it likes.
  SendData(ports, "stopping");
  Shutdown(ports, kBoth);
  Expect(VIRTIO_VSOCK_OP_RST);
}

TEST_F(VsockTest, PowerButtonSaysWhenNobodyListens) {
  std::optional<Status> answer;
  device_->PressPowerButton(1026, [&](Status status) { answer = std::move(status); });
  const Packet request = Expect(VIRTIO_VSOCK_OP_REQUEST);
  const Ports ports{.host = request.header.source_port, .guest = 1026};
  ASSERT_TRUE(guest_->Send(FromGuest(VIRTIO_VSOCK_OP_RST, ports)));
  ASSERT_TRUE(answer);
  ASSERT_FALSE(*answer);
  EXPECT_EQ(answer->error().code(), ErrorCode::kUnavailable);
}

TEST_F(VsockTest, PowerButtonWaitsForTheDriverAndNotForEver) {
  TimeLimits limits;
  limits.driver = std::chrono::milliseconds(50);
  limits.tick = std::chrono::milliseconds(20);
  MakeDevice(limits);
  std::optional<Status> answer;
  device_->PressPowerButton(1026, [&](Status status) { answer = std::move(status); });
  EXPECT_TRUE(RunUntil([&] { return answer.has_value(); }));
  ASSERT_FALSE(*answer);
  EXPECT_EQ(answer->error().code(), ErrorCode::kTimedOut);
}

TEST_F(VsockTest, ResetEndsConnectionsAndKeepsThoseTheGuestHasNotSeen) {
  const Established connection = EstablishFromHost(kPort);
  SendData(connection.ports, "sent");
  EXPECT_TRUE(guest_->harness().Reset());
  EXPECT_EQ(Hear(connection.host), "sent<end>");
  const UniqueFd next = Dial();
  Say(next, "CONNECT 7\n");
  Settle();
  EXPECT_TRUE(guest_->harness().Reset());
  EXPECT_EQ(Hear(next), "");
  ASSERT_TRUE(guest_->Activate());
  ASSERT_TRUE(guest_->AddBuffers(4));
  EXPECT_EQ(Expect(VIRTIO_VSOCK_OP_REQUEST).header.destination_port, 7U);
}

TEST_F(VsockTest, TransportResetIsToldOnceThereIsAnEventBuffer) {
  const Established connection = EstablishFromHost(kPort);
  device_->ResetTransport();
  EXPECT_EQ(Hear(connection.host), "<end>");
  FakeRing& events = guest_->harness().ring(2);
  const uint16_t head = events.Chain().Writable(sizeof(virtio_vsock_event)).Submit();
  ASSERT_TRUE(guest_->harness().Notify(2));
  const auto used = events.TakeUsed();
  ASSERT_TRUE(used);
  EXPECT_EQ(used->id, head);
  EXPECT_EQ(events.Written(*used), std::string(4, '\0'));
  // Once is enough.
  events.Chain().Writable(sizeof(virtio_vsock_event)).Submit();
  ASSERT_TRUE(guest_->harness().Notify(2));
  EXPECT_FALSE(events.TakeUsed());
}

}  // namespace
}  // namespace hull::vsock
