// Takes a fuzzer's bytes apart. Past the end everything is zero, so that every input means
// something.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "vmm/base/log.h"

namespace hull {

class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : rest_(data, size) {}

  bool empty() const { return rest_.empty(); }

  template <typename T>
  T Take() {
    T value = {};
    const size_t size = std::min(sizeof(T), rest_.size());
    if (size > 0) std::memcpy(&value, rest_.data(), size);
    rest_ = rest_.subspan(size);
    return value;
  }
  // A number below `bound`, which is at most 65536.
  uint32_t Below(uint32_t bound) {
    return bound <= 256 ? Take<uint8_t>() % bound : Take<uint16_t>() % bound;
  }
  // A byte tells the length.
  std::string Text() {
    const size_t wanted = Take<uint8_t>();
    const size_t size = std::min(wanted, rest_.size());
    std::string text(size, '\0');
    if (size > 0) std::memcpy(text.data(), rest_.data(), size);
    rest_ = rest_.subspan(size);
    return text;
  }

 private:
  std::span<const uint8_t> rest_;
};

// What a guest does wrong is logged, and a fuzzed guest does nothing else.
inline void SilenceLog() {
  static const bool once = (log::Start("fuzz", log::Level::kOff), true);
  static_cast<void>(once);
}

}  // namespace hull
