// Numbers that a device shows on the control socket ("counters").
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

namespace hull {

// Counted on one thread, read on any.
class EventCounter {
 public:
  void Add(uint64_t amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_ = 0;
};

// A counter's name (lower case with underscores, static) and value.
struct CounterReading {
  std::string_view name;
  uint64_t value;
};

using CounterReadings = std::vector<CounterReading>;

}  // namespace hull
