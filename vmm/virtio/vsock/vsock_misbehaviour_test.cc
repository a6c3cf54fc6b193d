// Vsock against a guest that lies. Whatever it does: the host's programs and other connections go
// on.
#include <gtest/gtest.h>
#include <linux/virtio_vsock.h>

#include <functional>
#include <string>

#include "tests/fakes/ring_faults.h"
#include "vmm/virtio/vsock/limits.h"
#include "vmm/virtio/vsock/vsock_fixture.h"

namespace hull::vsock {
namespace {

constexpr uint32_t kPort = 1024;

class VsockMisbehaviourTest : public VsockFixture {
 protected:
  VsockMisbehaviourTest() {
    EXPECT_TRUE(guest_->Activate());
    EXPECT_TRUE(guest_->AddBuffers(32));
    bystander_ = EstablishFromHost(7777);
  }

  // The connection that has nothing to do with it still works both ways.
  void ExpectBystanderWell() {
    Say(bystander_.host, "ping");
    EXPECT_EQ(Expect(VIRTIO_VSOCK_OP_RW).payload, "ping");
    Header header = FromGuest(VIRTIO_VSOCK_OP_RW, bystander_.ports);
    header.payload_bytes = 4;
    header.fwd_cnt = bystander_forwarded_ += 4;
    EXPECT_TRUE(guest_->Send(header, "pong"));
    EXPECT_EQ(Hear(bystander_.host), "pong");
  }

  Established bystander_;
  uint32_t bystander_forwarded_ = 0;
};

// A packet on a connection that stands, answered by RST; the host's socket ends.
struct Lie {
  const char* name;
  std::function<void(Header&)> tell;
  std::string payload;
};

class VsockLieTest : public VsockMisbehaviourTest, public testing::WithParamInterface<Lie> {};

TEST_P(VsockLieTest, IsAnsweredByRstAndHarmsNobodyElse) {
  const Established victim = EstablishFromHost(kPort);
  Header header = FromGuest(VIRTIO_VSOCK_OP_RW, victim.ports);
  header.payload_bytes = static_cast<uint32_t>(GetParam().payload.size());
  GetParam().tell(header);
  ASSERT_TRUE(guest_->Send(header, GetParam().payload));
  const std::optional<Packet> reset = guest_->Take();
  ASSERT_TRUE(reset);
  EXPECT_EQ(reset->header.op, VIRTIO_VSOCK_OP_RST);
  EXPECT_EQ(reset->header.source_cid, header.destination_cid);
  EXPECT_EQ(reset->header.destination_cid, header.source_cid);
  EXPECT_EQ(reset->header.source_port, header.destination_port);
  EXPECT_EQ(reset->header.destination_port, header.source_port);
  EXPECT_EQ(reset->header.type, header.type);
  // An RST that names the connection ends it for the guest, so it has to end here too.
  const bool names_it =
      header.source_cid == GuestDriver::kCid && header.destination_cid == kHostCid &&
      header.type == VIRTIO_VSOCK_TYPE_STREAM && header.destination_port == victim.ports.host;
  EXPECT_EQ(Hear(victim.host), names_it ? "<end>" : "");
  ExpectBystanderWell();
}

const Lie kLies[] = {
    {"SourceCidOfTheHost", [](Header& h) { h.source_cid = kHostCid; }, "x"},
    {"SourceCidOfAnotherGuest", [](Header& h) { h.source_cid = 4; }, "x"},
    {"SourceCidWithReservedBits", [](Header& h) { h.source_cid |= uint64_t{1} << 32U; }, "x"},
    {"DestinationCidOfAnotherGuest", [](Header& h) { h.destination_cid = 4; }, "x"},
    {"DestinationCidOfTheHypervisor", [](Header& h) { h.destination_cid = 0; }, "x"},
    {"UnknownPort", [](Header& h) { h.destination_port = 1; }, "x"},
    {"AllOnesPorts", [](Header& h) { h.destination_port = h.source_port = 0xffffffff; }, "x"},
    {"TypeSeqpacket", [](Header& h) { h.type = VIRTIO_VSOCK_TYPE_SEQPACKET; }, "x"},
    {"TypeUnknown", [](Header& h) { h.type = 0xffff; }, "x"},
    {"OpInvalid", [](Header& h) { h.op = VIRTIO_VSOCK_OP_INVALID; }, ""},
    {"OpUnknown", [](Header& h) { h.op = 0xffff; }, ""},
    {"RequestForAConnectionThatStands", [](Header& h) { h.op = VIRTIO_VSOCK_OP_REQUEST; }, ""},
    {"ResponseThatNobodyWaitsFor", [](Header& h) { h.op = VIRTIO_VSOCK_OP_RESPONSE; }, ""},
    {"LengthBeyondTheChain", [](Header& h) { h.payload_bytes = 2; }, "x"},
    {"LengthHuge", [](Header& h) { h.payload_bytes = 0xffffffff; }, "x"},
    {"MoreThanTheCredit", [](Header&) {}, std::string(kLargeBufferBytes + 1, 'x')},
    {"ForwardedMoreThanWasSent", [](Header& h) { h.fwd_cnt = 1; }, "x"},
    {"ForwardedHalfTheRange", [](Header& h) { h.fwd_cnt = 0x7fffffff; }, "x"},
    {"ControlWithWrongCredit",
     [](Header& h) {
       h.op = VIRTIO_VSOCK_OP_CREDIT_UPDATE;
       h.fwd_cnt = 1000;
     },
     ""},
};

INSTANTIATE_TEST_SUITE_P(AllLies, VsockLieTest, testing::ValuesIn(kLies),
                         [](const auto& lie) { return std::string(lie.param.name); });

TEST_F(VsockMisbehaviourTest, LieAboutCreditEndsTheHostsSocketAfterWhatWasSentHonestly) {
  const Established victim = EstablishFromHost(kPort);
  Header header = FromGuest(VIRTIO_VSOCK_OP_RW, victim.ports);
  header.payload_bytes = 6;
  ASSERT_TRUE(guest_->Send(header, "honest"));
  header.fwd_cnt = 5;
  ASSERT_TRUE(guest_->Send(header, "lie..."));
  EXPECT_EQ(Hear(victim.host), "honest<end>");
}

TEST_F(VsockMisbehaviourTest, DataAfterItsOwnEndIsAnsweredByRst) {
  const Established victim = EstablishFromHost(kPort);
  Header header = FromGuest(VIRTIO_VSOCK_OP_SHUTDOWN, victim.ports);
  header.flags = VIRTIO_VSOCK_SHUTDOWN_SEND;
  ASSERT_TRUE(guest_->Send(header));
  header = FromGuest(VIRTIO_VSOCK_OP_RW, victim.ports);
  header.payload_bytes = 1;
  ASSERT_TRUE(guest_->Send(header, "x"));
  Expect(VIRTIO_VSOCK_OP_RST);
  ExpectBystanderWell();
}

TEST_F(VsockMisbehaviourTest, DataBeforeTheAnswerIsAnsweredByRst) {
  const UniqueFd host = Dial();
  Say(host, "CONNECT 5\n");
  const Packet request = Expect(VIRTIO_VSOCK_OP_REQUEST);
  const Ports ports{.host = request.header.source_port, .guest = 5};
  Header header = FromGuest(VIRTIO_VSOCK_OP_RW, ports);
  header.payload_bytes = 1;
  ASSERT_TRUE(guest_->Send(header, "x"));
  Expect(VIRTIO_VSOCK_OP_RST);
  EXPECT_EQ(Hear(host), "<end>");
}

TEST_F(VsockMisbehaviourTest, AnswerToARequestThatWasNotYetSentIsAnsweredByRst) {
  MakeDevice();
  ASSERT_TRUE(guest_->Activate());
  const UniqueFd host = Dial();
  Say(host, "CONNECT 5\n");
  Settle();
  // The guest guesses the port of a request that still waits for a buffer.
  const Ports ports{.host = kFirstHostPort, .guest = 5};
  ASSERT_TRUE(guest_->Send(FromGuest(VIRTIO_VSOCK_OP_RESPONSE, ports)));
  EXPECT_EQ(Hear(host), "<end>");
}

TEST_F(VsockMisbehaviourTest, RstForNothingIsNotAnswered) {
  ASSERT_TRUE(guest_->Send(FromGuest(VIRTIO_VSOCK_OP_RST, {.host = 1, .guest = 2})));
  ExpectNothing();
  ExpectBystanderWell();
}

TEST_F(VsockMisbehaviourTest, WritablePieceInATransmitChainIsAnsweredByRst) {
  const HeaderBytes bytes = Encode(FromGuest(VIRTIO_VSOCK_OP_REQUEST, {.host = 9, .guest = 9}));
  // SAFETY: bytes seen as characters.
  guest_->harness()
      .ring(1)
      .Chain()
      .Readable({reinterpret_cast<const char*>(bytes.data()), bytes.size()})
      .Writable(8)
      .Submit();
  ASSERT_TRUE(guest_->NotifyTransmit());
  Expect(VIRTIO_VSOCK_OP_RST);
}

TEST_F(VsockMisbehaviourTest, PacketShorterThanItsHeaderNeedsAReset) {
  guest_->harness().ring(1).Chain().Readable(std::string(kHeaderBytes - 1, '\0')).Submit();
  EXPECT_FALSE(guest_->harness().Notify(1));
}

TEST_F(VsockMisbehaviourTest, ReceiveBufferWithoutRoomForAByteNeedsAReset) {
  MakeDevice();
  ASSERT_TRUE(guest_->Activate());
  const UniqueFd host = Dial();
  Say(host, "CONNECT 5\n");
  Settle();
  EXPECT_FALSE(guest_->AddBuffers(1, kHeaderBytes));
}

TEST_F(VsockMisbehaviourTest, ReadableReceiveBufferNeedsAReset) {
  MakeDevice();
  ASSERT_TRUE(guest_->Activate());
  ASSERT_TRUE(guest_->AddBuffers(1));
  const Established connection = EstablishFromHost(5);  // its RX buffer came back as a fresh one
  guest_->harness().ring(0).Chain().Readable("x").Writable(4096).Submit();
  Say(connection.host, std::string(8000, 'x'));
  EXPECT_TRUE(RunUntil([&] { return !guest_->harness().signals().faults.empty(); }));
  // Broken until reset: nothing moves, nothing crashes.
  Say(connection.host, "y");
  Settle();
  EXPECT_TRUE(guest_->harness().Reset());
  ASSERT_TRUE(guest_->Activate());
  ASSERT_TRUE(guest_->AddBuffers(8));
  EstablishFromHost(6);
}

TEST_F(VsockMisbehaviourTest, EventBufferWithoutRoomNeedsAReset) {
  device_->ResetTransport();
  guest_->harness().ring(2).Chain().Writable(3).Submit();
  EXPECT_FALSE(guest_->harness().Notify(2));
}

TEST_F(VsockMisbehaviourTest, RefusalsThatNobodyTakesStopTheTransmitQueueAndNothingElse) {
  MakeDevice();
  ASSERT_TRUE(guest_->Activate());
  FakeRing& transmit = guest_->harness().ring(1);
  // No receive buffer at all, and an endless stream of nonsense.
  size_t taken = 0;
  for (size_t i = 0; i < 3 * kMaxPendingResets; ++i) {
    if (i - taken < 100)
      guest_->Queue(FromGuest(VIRTIO_VSOCK_OP_REQUEST, {.host = 1, .guest = uint32_t(i)}));
    ASSERT_TRUE(guest_->harness().Notify(1));
    while (transmit.TakeUsed()) ++taken;
  }
  EXPECT_EQ(taken, kMaxPendingResets);
  // With buffers it goes on where it stopped, and all are answered.
  size_t resets = 0;
  ASSERT_TRUE(guest_->AddBuffers(64));
  EXPECT_TRUE(RunUntil([&] {
    while (const auto packet = guest_->Take())
      if (packet->header.op == VIRTIO_VSOCK_OP_RST) ++resets;
    EXPECT_TRUE(guest_->AddBuffers(0));
    EXPECT_TRUE(guest_->NotifyTransmit());
    return resets >= kMaxPendingResets + 100;
  })) << resets;
}

TEST_F(VsockMisbehaviourTest, GuestThatTakesItsBufferBackIsNotSentToBeyondIt) {
  const Established victim = EstablishFromHost(kPort, 100);
  Say(victim.host, std::string(300, 'x'));
  EXPECT_EQ(Expect(VIRTIO_VSOCK_OP_RW).payload.size(), 100U);
  Header update = FromGuest(VIRTIO_VSOCK_OP_CREDIT_UPDATE, victim.ports);
  update.fwd_cnt = 100;
  update.buf_alloc = 0;
  ASSERT_TRUE(guest_->Send(update));
  ExpectNothing();
}

class VsockRingFaultTest : public VsockFixture, public testing::WithParamInterface<RingFault> {};

TEST_P(VsockRingFaultTest, InTheTransmitQueueNeedsAResetAndWorksAfterIt) {
  ASSERT_TRUE(guest_->Activate());
  ASSERT_TRUE(guest_->AddBuffers(8));
  const Established before = EstablishFromHost(kPort);
  GetParam().commit(guest_->harness().ring(1));
  EXPECT_FALSE(guest_->harness().Notify(1));
  EXPECT_TRUE(guest_->harness().Reset());
  EXPECT_EQ(Hear(before.host), "<end>");
  ASSERT_TRUE(guest_->Activate());
  ASSERT_TRUE(guest_->AddBuffers(8));
  EstablishFromHost(kPort);
}

TEST_P(VsockRingFaultTest, InTheReceiveQueueNeedsAResetAndWorksAfterIt) {
  ASSERT_TRUE(guest_->Activate());
  GetParam().commit(guest_->harness().ring(0));
  const UniqueFd host = Dial();
  Say(host, "CONNECT 5\n");
  EXPECT_TRUE(RunUntil([&] { return !guest_->harness().signals().faults.empty(); }));
  EXPECT_TRUE(guest_->harness().Reset());
  ASSERT_TRUE(guest_->Activate());
  ASSERT_TRUE(guest_->AddBuffers(8));
  Expect(VIRTIO_VSOCK_OP_REQUEST);
}

INSTANTIATE_TEST_SUITE_P(AllFaults, VsockRingFaultTest, testing::ValuesIn(RingFaults()),
                         [](const auto& fault) { return NameOf(fault.param); });

}  // namespace
}  // namespace hull::vsock
