// For the tests of Vsock: a driver in a fake guest, and programs on the host with real Unix
// sockets.
#pragma once

#include <gtest/gtest.h>
#include <linux/virtio_vsock.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fakes/device_harness.h"
#include "vmm/base/unique_fd.h"
#include "vmm/event/event_loop.h"
#include "vmm/virtio/vsock/vsock.h"

namespace hull::vsock {

// A packet as the driver sees it.
struct Packet {
  Header header;
  std::string payload;
};

// The driver's side: keeps the receive queue filled, sends and takes packets, keeps the credit's
// books for one connection at a time.
class GuestDriver {
 public:
  static constexpr uint64_t kCid = 3;
  static constexpr uint32_t kBufferBytes = 4096;

  explicit GuestDriver(Vsock& device) : harness_(device) {}

  Status Activate() { return harness_.Activate(); }
  DeviceHarness& harness() { return harness_; }

  // Gives the device `count` receive buffers; notifies.
  Status AddBuffers(size_t count, uint32_t bytes = kBufferBytes);
  // Sends one packet; notifies.
  Status Send(Header header, std::string_view payload = {});
  // Puts one packet into the queue without notifying.
  void Queue(Header header, std::string_view payload = {});
  Status NotifyTransmit();
  // The next packet from the device; its buffer is given back (without notifying).
  std::optional<Packet> Take();

 private:
  DeviceHarness harness_;
};

class VsockFixture : public testing::Test {
 protected:
  // Long enough for a slow machine; nothing waits for it when all is well.
  static constexpr std::chrono::seconds kPatience{10};

  VsockFixture();
  ~VsockFixture() override;

  // Runs the loop until `done` or patience ends; returns whether it was done.
  template <typename Condition>
  bool RunUntil(Condition done) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      loop_->PollFor(std::chrono::milliseconds(1));
    }
    return true;
  }
  // Runs the loop until nothing happens any more.
  void Settle();

  // Programs on the host.
  UniqueFd Dial() const;
  static void Say(const UniqueFd& socket, std::string_view text);
  // What has arrived; "<end>" is appended when the peer has ended.
  static std::string Hear(const UniqueFd& socket);
  UniqueFd ListenOn(uint32_t port);
  static UniqueFd Accept(const UniqueFd& listener);

  // The guest's next packet; fails the test when there is none.
  Packet Expect(uint16_t op);
  void ExpectNothing();

  // A header from the guest for the connection of these ports.
  static Header FromGuest(uint16_t op, Ports ports);

  // A connection that stands, with the guest's side empty. The guest can take `buf_alloc` bytes.
  struct Established {
    UniqueFd host;
    Ports ports;
  };
  Established EstablishFromHost(uint32_t port, uint32_t buf_alloc = 256U << 10U);
  Established EstablishFromGuest(uint32_t port, uint32_t buf_alloc = 256U << 10U);

  void MakeDevice(const TimeLimits& limits = {});

  std::string directory_;
  std::string path_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Vsock> device_;
  std::optional<GuestDriver> guest_;
  std::vector<std::string> listening_paths_;
};

}  // namespace hull::vsock
