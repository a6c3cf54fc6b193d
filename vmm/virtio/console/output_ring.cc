#include "vmm/virtio/console/output_ring.h"

#include <algorithm>
#include <cstring>

namespace hull {

void OutputRing::Append(std::span<const std::byte> data) {
  const size_t growth = std::min(data.size(), capacity_bytes_ - buffer_.size());
  if (growth > 0) {
    if (buffer_.size() + growth > capacity_bytes_ / 2) buffer_.reserve(capacity_bytes_);
    const size_t old_size = buffer_.size();
    buffer_.resize(old_size + growth);
    std::memcpy(buffer_.data() + old_size, data.data(), growth);
    data = data.subspan(growth);
  }
  while (!data.empty()) {
    const size_t piece = std::min(data.size(), capacity_bytes_ - next_);
    std::memcpy(buffer_.data() + next_, data.data(), piece);
    next_ = (next_ + piece) % capacity_bytes_;
    data = data.subspan(piece);
  }
}

std::string OutputRing::Content() const {
  std::string content;
  content.reserve(buffer_.size());
  content.append(buffer_.data() + next_, buffer_.size() - next_);
  content.append(buffer_.data(), next_);
  return content;
}

}  // namespace hull
