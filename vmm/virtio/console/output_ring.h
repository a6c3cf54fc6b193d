// OutputRing: the last bytes of a stream that has no end. Not for several threads.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace hull {

class OutputRing {
 public:
  // Keeps the last `capacity_bytes`; memory is taken as the stream grows towards that.
  explicit OutputRing(size_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  void Append(std::span<const std::byte> data);
  // What is kept, oldest first.
  std::string Content() const;

 private:
  const size_t capacity_bytes_;
  std::vector<char> buffer_;
  size_t next_ = 0;  // where the next byte goes, once buffer_ has its full size
};

}  // namespace hull
