// Block: a disk (virtio 1.2, 5.2) on files of the host.
//
// Requests are checked whole (request.h), carried out by the VM's DiskEngine straight from and to
// guest memory, and answered as they end, in any order. At most as many are in flight as the queue
// is long.
#pragma once

#include <linux/virtio_blk.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/log.h"
#include "vmm/base/result.h"
#include "vmm/event/gate.h"
#include "vmm/virtio/block/disk_content.h"
#include "vmm/virtio/block/disk_engine.h"
#include "vmm/virtio/block/limits.h"
#include "vmm/virtio/virtio_device.h"

namespace hull {

namespace block {
class Request;
}

class Block final : public VirtioDevice, private block::DiskEngine::Client {
 public:
  struct Options {
    std::string id;  // "block <id>" in logs; the guest's /dev/disk/by-id (20 bytes of it)
    bool read_only = false;
    bool discard = false;  // the guest may give space back
  };

  // Any time before the loop runs, or on its thread; `engine` outlives the device.
  // kInvalidArgument when the content is not a disk (disk_content.h).
  static Result<std::unique_ptr<Block>> Create(Options options, DiskContent content,
                                               block::DiskEngine& engine);
  // Waits for what is in flight.
  ~Block() override;

  std::string_view name() const override { return name_; }
  uint32_t device_id() const override;
  uint64_t features() const override;
  std::span<const uint16_t> queue_sizes() const override;
  void ReadConfig(uint64_t offset, std::span<std::byte> out) const override;
  Status Activate(Activation activation) override;
  Status OnQueueNotified(QueueIndex queue) override;
  // Answered when nothing is in flight any more: the kernel may be writing to guest memory until
  // then.
  void Reset(Task done) override;
  CounterReadings Counters() const override;

 private:
  friend class block::Request;

  Block(Options options, block::DiskMap map, block::DiskEngine& engine);

  Status Work();
  Status Begin(DescriptorChain chain);
  // For requests: the answer, and the end of it.
  void Finish(block::Request& request);
  void AfterDone() override;
  void CountError(const block::Request& request, int error_number);

  const Options options_;
  const std::string name_;
  const block::DiskMap map_;
  block::DiskEngine& engine_;
  virtio_blk_config config_{};

  std::optional<VirtQueue> requests_;  // while active
  DriverSignals* driver_ = nullptr;    // while active
  bool write_through_ = false;         // the driver does not know how to flush
  bool broken_ = false;                // until the driver resets
  bool answered_ = false;              // since the guest was last told
  std::vector<std::unique_ptr<block::Request>> all_requests_;
  std::vector<block::Request*> spare_requests_;
  Gate in_flight_;
  log::RateLimit limit_;

  EventCounter reads_;
  EventCounter writes_;
  EventCounter flushes_;
  EventCounter discards_;
  EventCounter write_zeroes_;
  EventCounter bytes_read_;
  EventCounter bytes_written_;
  EventCounter host_errors_;
  EventCounter guest_errors_;
};

}  // namespace hull
