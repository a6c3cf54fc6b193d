// Packets of a hostile guest, and programs on the host that come, speak, read and go, in any order.
//
// What must hold: nothing aborts; every packet to the guest is well formed; the guest is never sent
// more than it said it can take; and after a reset the device serves a new guest.
#include <linux/virtio_vsock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/fakes/device_harness.h"
#include "tests/fuzz/device_fuzz.h"
#include "tests/fuzz/fuzz_input.h"
#include "vmm/base/check.h"
#include "vmm/virtio/vsock/host_socket.h"
#include "vmm/virtio/vsock/vsock.h"

namespace hull::vsock {
namespace {

constexpr uint64_t kCid = 3;
constexpr uint32_t kListeningPort = 5;
constexpr size_t kMaxHosts = 8;

class Scene {
 public:
  explicit Scene(FuzzInput& input)
      : input_(input),
        path_("/tmp/hull-fuzz-" + std::to_string(getpid())),
        loop_(EventLoop::Create().value()),
        listener_(ListenAt(path_ + "_" + std::to_string(kListeningPort)).value()),
        device_(Vsock::Create(kCid, path_, *loop_).value()) {
    harness_.emplace(*device_);
    Restart();
  }
  ~Scene() {
    device_->Reset([] {});
    device_.reset();
    unlink((path_ + "_" + std::to_string(kListeningPort)).c_str());
  }

  void Run() {
    while (!input_.empty()) {
      switch (input_.Below(8)) {
        case 0:
        case 1:
          SendPacket();
          break;
        case 2:
          AnswerRequest();
          break;
        case 3:
          HostArrives();
          break;
        case 4:
          HostActs();
          break;
        case 5:
          if (!stopped_) AddBuffers(input_.Below(32));
          break;
        case 6:
          loop_->Poll();
          TakePackets();
          break;
        default:
          if (input_.Below(16) == 0) Restart();
          break;
      }
    }
    Restart();
    HULL_CHECK(!stopped_);
  }

 private:
  void Restart() {
    if (started_) HULL_CHECK(harness_->Reset());
    started_ = true;
    known_.clear();
    limit_.clear();
    received_.clear();
    requested_.reset();
    HULL_CHECK(harness_->Activate().has_value());
    stopped_ = false;
    AddBuffers(8);
  }

  void Notify(uint16_t queue) {
    if (!stopped_) stopped_ = !harness_->Notify(queue) || !harness_->signals().faults.empty();
  }

  void AddBuffers(uint32_t count) {
    for (uint32_t i = 0; i < count && buffers_free() > 0; ++i) {
      ++buffers_out_;
      harness_->ring(0).Chain().Writable(kHeaderBytes + 1 + input_.Below(4096)).Submit();
    }
    Notify(0);
  }
  uint32_t buffers_free() const { return harness_ && buffers_out_ < 120 ? 120 - buffers_out_ : 0; }

  // Mostly about connections that exist, mostly with credit that is true.
  Header AnyHeader() {
    Header header{.source_cid = kCid, .destination_cid = kHostCid};
    if (!known_.empty() && input_.Below(4) != 0) {
      const Ports ports = known_[input_.Below(static_cast<uint32_t>(known_.size()))];
      header.source_port = ports.guest;
      header.destination_port = ports.host;
    } else {
      header.source_port = input_.Below(4);
      header.destination_port = kListeningPort + input_.Below(2);
    }
    header.op = static_cast<uint16_t>(input_.Below(10));
    header.flags = input_.Below(4);
    header.buf_alloc = input_.Below(65536);
    header.fwd_cnt = static_cast<uint32_t>(received_[KeyOf(header)]);
    if (input_.Below(32) == 0) {
      switch (input_.Below(6)) {
        case 0:
          header.source_cid = input_.Take<uint64_t>();
          break;
        case 1:
          header.destination_cid = input_.Take<uint64_t>();
          break;
        case 2:
          header.type = input_.Take<uint16_t>();
          break;
        case 3:
          header.op = input_.Take<uint16_t>();
          break;
        case 4:
          header.fwd_cnt = input_.Take<uint32_t>();
          break;
        default:
          header.buf_alloc = input_.Take<uint32_t>();
      }
    }
    return header;
  }

  static uint64_t KeyOf(const Header& header) {
    return Ports{.host = header.destination_port, .guest = header.source_port}.key();
  }

  void Send(const Header& header, std::string_view payload) {
    if (stopped_) return;
    const HeaderBytes bytes = Encode(header);
    // SAFETY: bytes seen as characters.
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    auto chain = harness_->ring(1).Chain();
    const size_t cut = input_.Below(64);
    chain.Readable(text.substr(0, std::min(cut, text.size())).empty() ? text : text.substr(0, cut));
    if (cut > 0 && cut < text.size()) chain.Readable(text.substr(cut));
    if (!payload.empty()) chain.Readable(payload);
    chain.Submit();
    // What the guest has said it can take, ever; a connection that is new begins anew.
    uint64_t& limit = limit_[KeyOf(header)];
    limit = std::max(limit, uint64_t{header.fwd_cnt} + header.buf_alloc);
    Notify(1);
    while (harness_->ring(1).TakeUsed()) {
    }
    TakePackets();
  }

  void SendPacket() {
    Header header = AnyHeader();
    std::string payload;
    if (header.op == VIRTIO_VSOCK_OP_RW) payload = std::string(input_.Below(65536), 'x');
    header.payload_bytes = static_cast<uint32_t>(payload.size());
    if (input_.Below(32) == 0) header.payload_bytes = input_.Take<uint32_t>();
    if (header.op == VIRTIO_VSOCK_OP_REQUEST) {
      known_.push_back({.host = header.destination_port, .guest = header.source_port});
    }
    Send(header, payload);
  }

  void AnswerRequest() {
    if (!requested_) return;
    const Ports ports = *std::exchange(requested_, std::nullopt);
    known_.push_back(ports);
    Send({.source_cid = kCid,
          .destination_cid = kHostCid,
          .source_port = ports.guest,
          .destination_port = ports.host,
          .op = VIRTIO_VSOCK_OP_RESPONSE,
          .buf_alloc = input_.Below(65536)},
         "");
  }

  void HostArrives() {
    if (hosts_.size() >= kMaxHosts) hosts_.erase(hosts_.begin());
    UniqueFd socket;
    if (input_.Below(2) == 0) {
      socket = ConnectTo(path_).value_or(UniqueFd());
      const std::string line = input_.Below(8) == 0 ? input_.Text() : "CONNECT 7\n";
      if (socket.valid()) SendTo(socket.get(), std::as_bytes(std::span(line)));
    } else {
      socket = AcceptFrom(listener_.get()).value_or(UniqueFd());
    }
    if (socket.valid()) hosts_.push_back(std::move(socket));
    loop_->Poll();
  }

  void HostActs() {
    if (hosts_.empty()) return;
    const uint32_t which = input_.Below(static_cast<uint32_t>(hosts_.size()));
    const int socket = hosts_[which].get();
    std::array<std::byte, 32768> piece{};
    switch (input_.Below(5)) {
      case 0:
        SendTo(socket, std::span(piece).first(input_.Below(piece.size())));
        break;
      case 1:
        static_cast<void>(recv(socket, piece.data(), piece.size(), MSG_DONTWAIT));
        break;
      case 2:
        shutdown(socket, SHUT_WR);
        break;
      case 3:
        shutdown(socket, SHUT_RD);
        break;
      default:
        hosts_.erase(hosts_.begin() + which);
    }
    loop_->Poll();
    TakePackets();
  }

  void TakePackets() {
    while (const std::optional<FakeRing::Used> used = harness_->ring(0).TakeUsed()) {
      buffers_out_ -= std::min(buffers_out_, 1U);
      const std::string content = harness_->ring(0).Written(*used);
      HULL_CHECK(content.size() >= kHeaderBytes);
      const Header header = Decode(std::as_bytes(std::span(content)).first<kHeaderBytes>());
      HULL_CHECK(header.payload_bytes == content.size() - kHeaderBytes);
      HULL_CHECK(header.op != VIRTIO_VSOCK_OP_INVALID &&
                 header.op <= VIRTIO_VSOCK_OP_CREDIT_REQUEST);
      HULL_CHECK((header.op == VIRTIO_VSOCK_OP_RW) == (header.payload_bytes > 0));
      const Ports ports{.host = header.source_port, .guest = header.destination_port};
      if (header.op == VIRTIO_VSOCK_OP_REQUEST) requested_ = ports;
      const bool ours = header.source_cid == kHostCid && header.destination_cid == kCid &&
                        header.type == VIRTIO_VSOCK_TYPE_STREAM;
      if (header.op == VIRTIO_VSOCK_OP_RST && ours) {
        received_.erase(ports.key());
        limit_.erase(ports.key());
      }
      if (header.op != VIRTIO_VSOCK_OP_RW) continue;
      uint64_t& received = received_[ports.key()];
      received += header.payload_bytes;
      HULL_CHECK(received <= limit_[ports.key()]);
    }
  }

  FuzzInput& input_;
  const std::string path_;
  std::unique_ptr<EventLoop> loop_;
  UniqueFd listener_;
  std::unique_ptr<Vsock> device_;
  std::optional<DeviceHarness> harness_;
  bool started_ = false;
  bool stopped_ = false;
  uint32_t buffers_out_ = 0;
  std::vector<Ports> known_;
  std::optional<Ports> requested_;
  std::map<uint64_t, uint64_t> limit_;     // how far the guest said it can receive
  std::map<uint64_t, uint64_t> received_;  // how far it has
  std::vector<UniqueFd> hosts_;
};

void FuzzRings(FuzzInput& input) {
  const std::string path = "/tmp/hull-fuzz-" + std::to_string(getpid());
  const std::unique_ptr<EventLoop> loop = EventLoop::Create().value();
  const std::unique_ptr<Vsock> device = Vsock::Create(kCid, path, *loop).value();
  std::vector<UniqueFd> hosts;
  FuzzDevice(*device, input, HostileGuest::RingMemory::kOverlaps, [&](FuzzInput&) {
    if (hosts.size() < kMaxHosts) {
      hosts.push_back(ConnectTo(path).value_or(UniqueFd()));
      const std::string line = "CONNECT 7\nhello";
      SendTo(hosts.back().get(), std::as_bytes(std::span(line)));
    }
    loop->Poll();
  });
  device->Reset([] {});
}

}  // namespace
}  // namespace hull::vsock

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hull::SilenceLog();
  hull::FuzzInput input(data, size);
  if (input.Below(4) == 0) {
    hull::vsock::FuzzRings(input);
  } else {
    hull::vsock::Scene(input).Run();
  }
  return 0;
}
