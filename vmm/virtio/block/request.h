// Request: one request of the driver's, from its chain to its answer.
//
// A request is a row of steps: parts of a read that lie in different files, ranges of a discard,
// the rest of a write that came up short. One step is with the engine at a time. Objects are used
// again, by the device that owns them; I/O loop.
#pragma once

#include <linux/virtio_blk.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "vmm/event/gate.h"
#include "vmm/memory/guest_slice.h"
#include "vmm/virtio/block/disk_content.h"
#include "vmm/virtio/block/disk_engine.h"
#include "vmm/virtio/descriptor_chain.h"

namespace hull {
class Block;
}

namespace hull::block {

class Request final : public DiskOperation {
 public:
  explicit Request(Block& device) : device_(device) {}

  // Checks the chain and starts the first step; the request may be over when this returns. False
  // when the chain has no room for a status: the ring is not credible, and the chain is abandoned.
  [[nodiscard]] bool Begin(DescriptorChain chain, Gate::Pass pass);

  void Done(int result) override;

  // For the device, when it is over: what belongs into the answer.
  DescriptorChain TakeChain() { return *std::exchange(chain_, std::nullopt); }
  std::optional<Gate::Pass> TakePass() { return std::exchange(pass_, std::nullopt); }
  uint8_t status() const { return status_; }
  // Data that was read from the disk, or written to it.
  uint64_t moved_bytes() const { return moved_; }
  // Data that was put into guest memory.
  uint64_t written_bytes() const { return type_ == VIRTIO_BLK_T_OUT ? 0 : moved_; }
  uint32_t type() const { return type_; }
  uint64_t sector() const { return offset_ / DiskContent::kSectorBytes; }

 private:
  struct Range {
    uint64_t offset;
    uint64_t size_bytes;
  };

  void Dispatch();
  void BeginRead(uint64_t sector);
  void BeginWrite(uint64_t sector);
  void BeginFlush();
  void BeginRanges();
  void AnswerId();
  bool ReadRanges(size_t maximum);

  // The next step, or the end.
  void Continue();
  void ContinueRead();
  void ContinueWrite();
  void ContinueRanges();
  void ContinueZeroes();
  void Execute(Kind operation, uint64_t at);
  // Ends it with a VIRTIO_BLK_S_*.
  void End(uint8_t status);
  void EndGuestError(uint8_t status);
  void EndHostError(int error_number);

  bool InCapacity(uint64_t sector, uint64_t bytes) const;

  Block& device_;
  std::optional<DescriptorChain> chain_;
  std::optional<Gate::Pass> pass_;
  uint32_t type_ = 0;
  uint8_t status_ = 0;
  uint64_t offset_ = 0;        // on the disk, where the next step begins
  uint64_t left_ = 0;          // bytes of a read or a write that are still to come
  uint64_t moved_ = 0;         // bytes of it that are done
  IoVectors io_;               // the present step's, what is left of it
  std::vector<Range> ranges_;  // discard, write zeroes: still to come, the last one first
  bool unmap_ = false;
  bool writing_zeroes_ = false;  // the file system cannot zero a range
};

}  // namespace hull::block
