// For the tests of Block: a driver in a fake guest, a temporary file, and an engine that tests can
// hold up.
#pragma once

#include <gtest/gtest.h>
#include <linux/virtio_blk.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fakes/device_harness.h"
#include "vmm/base/unique_fd.h"
#include "vmm/event/event_loop.h"
#include "vmm/virtio/block/block.h"
#include "vmm/virtio/block/disk_engine.h"

namespace hull::block {

// Does nothing by itself: the test says when an operation is done, and how it went.
class HeldEngine final : public DiskEngine {
 public:
  void Start(DiskOperation& operation) override { held.push_back(&operation); }
  void Submit() override { TellClients(); }
  void Drain() override {
    while (!held.empty()) Finish(-EIO);
  }
  std::string_view name() const override { return "held"; }

  // Ends the operation that was started first.
  void Finish(int result) {
    DiskOperation* operation = held.front();
    held.pop_front();
    operation->Done(result);
    TellClients();
  }

  std::deque<DiskOperation*> held;
};

std::string HeaderOf(uint32_t type, uint64_t sector);
// Content that shows a byte that is lost, doubled or out of place.
std::string Pattern(size_t bytes, uint32_t seed = 0);
// A file without a name, with this content.
UniqueFd FileWith(std::string_view content);
std::string ContentOf(int fd);

class BlockFixture : public testing::Test {
 protected:
  static constexpr std::chrono::seconds kPatience{10};
  static constexpr size_t kSector = 512;

  // An answered request.
  struct Answer {
    uint8_t status = 0xff;
    std::string data = {};  // what is in front of the status
    uint32_t used = 0;
  };

  BlockFixture() : loop_(EventLoop::Create().value()) {}
  ~BlockFixture() override;

  void UseIoUring() { engine_ = DiskEngine::CreateIoUring(*loop_).value(); }
  void UseSynchronous() { engine_ = DiskEngine::CreateSynchronous(); }
  HeldEngine& UseHeld();

  // A disk of one file with this content; the file stays open here too.
  void MakeDisk(std::string_view content, Block::Options options = {.id = "disk"});
  void MakeDevice(DiskContent content, Block::Options options = {.id = "disk"});

  // Waits for the next answer. `head` is what Submit returned.
  Answer Await(uint16_t head);
  // The usual layout: header, data, status.
  Answer Read(uint64_t sector, uint32_t bytes);
  Answer Write(uint64_t sector, std::string_view data);
  Answer Ask(uint32_t type, std::string_view data = {}, uint32_t writable = 1);
  FakeRing& ring() { return harness_->ring(0); }

  uint64_t Counter(std::string_view name) const;

  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<DiskEngine> engine_;
  std::unique_ptr<Block> device_;
  std::optional<DeviceHarness> harness_;
  UniqueFd file_;
};

}  // namespace hull::block
