// Logging, over spdlog. error: what the user asked did not happen; warn: abnormal, harmless;
// info: rare and useful; debug: for whoever works on hull.
// What a guest can trigger goes through a RateLimit.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace hull::log {

enum class Level { kDebug, kInfo, kWarn, kError, kOff };

// Sends messages at or above `level` to `fd` (default: standard error), each line "program: level:
// text". Called once, first thing in main(). Thread-safe afterwards.
void Start(std::string_view program, Level level, int fd = 2);

bool Enabled(Level level);
// One line; control characters are escaped, since the text may quote a guest.
void Write(Level level, std::string_view text);

template <typename... Args>
void Debug(fmt::format_string<Args...> format, Args&&... args) {
  if (Enabled(Level::kDebug))
    Write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void Info(fmt::format_string<Args...> format, Args&&... args) {
  if (Enabled(Level::kInfo)) Write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void Warn(fmt::format_string<Args...> format, Args&&... args) {
  if (Enabled(Level::kWarn)) Write(Level::kWarn, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void Error(fmt::format_string<Args...> format, Args&&... args) {
  if (Enabled(Level::kError))
    Write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

// Lets through `burst` messages, then one each `interval`. Thread-safe.
class RateLimit {
 public:
  explicit RateLimit(uint32_t burst = 5, std::chrono::seconds interval = std::chrono::seconds(10))
      : left_(burst), interval_(interval) {}
  [[nodiscard]] bool Allow();

 private:
  std::atomic<uint32_t> left_;
  std::chrono::seconds interval_;
  std::atomic<int64_t> next_ns_ = 0;
};

}  // namespace hull::log
