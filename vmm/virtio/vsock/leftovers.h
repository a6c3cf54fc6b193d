// Leftovers: what the guest sent on connections that it has closed, for programs on the host that
// read slowly. Nothing is lost, however late they come; each socket is closed once it has all of
// it.
//
// Owned by the device, on the I/O loop. Bounded: an entry counts as a connection and keeps the
// buffer that the connection was granted.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>

#include "vmm/base/unique_fd.h"
#include "vmm/event/event_loop.h"
#include "vmm/event/watch.h"
#include "vmm/virtio/vsock/byte_queue.h"

namespace hull::vsock {

class Leftovers {
 public:
  // `on_done` gives back the buffer that an entry was granted.
  Leftovers(EventLoop& loop, std::function<void(uint32_t buf_alloc)> on_done)
      : loop_(loop), on_done_(std::move(on_done)) {}

  size_t count() const { return entries_.size(); }
  // Sends `data` (not empty) to `socket` as it takes it, then ends it.
  void Add(UniqueFd socket, ByteQueue data, uint32_t buf_alloc);

 private:
  struct Entry {
    UniqueFd socket;
    ByteQueue data;
    uint32_t buf_alloc;
    std::unique_ptr<Watch> watch;  // ends before its socket
  };

  void OnWritable(uint64_t id);

  EventLoop& loop_;
  const std::function<void(uint32_t)> on_done_;
  uint64_t next_id_ = 0;
  std::unordered_map<uint64_t, Entry> entries_;
};

}  // namespace hull::vsock
