#include "vmm/virtio/vsock/leftovers.h"

#include "vmm/virtio/vsock/host_socket.h"

namespace hull::vsock {

void Leftovers::Add(UniqueFd socket, ByteQueue data, uint32_t buf_alloc) {
  const uint64_t id = next_id_++;
  // On readiness to read nothing happens: that direction is over.
  Result<std::unique_ptr<Watch>> watch = Watch::Create(
      loop_, socket.get(), [] {}, [this, id] { OnWritable(id); });
  if (!watch) {
    // No descriptor or memory left to wait with: the rest is lost, and the program sees the end.
    on_done_(buf_alloc);
    return;
  }
  (*watch)->WatchWritable(true);
  entries_.emplace(id, Entry{.socket = std::move(socket),
                             .data = std::move(data),
                             .buf_alloc = buf_alloc,
                             .watch = std::move(*watch)});
}

void Leftovers::OnWritable(uint64_t id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  const SocketResult result = SendTo(entry.socket.get(), entry.data.front());
  if (!result.broken) {
    entry.data.Pop(result.bytes);
    if (!entry.data.empty()) return;
    DiscardUnread(entry.socket.get());
  }
  const uint32_t buf_alloc = entry.buf_alloc;
  entries_.erase(found);
  on_done_(buf_alloc);
}

}  // namespace hull::vsock
