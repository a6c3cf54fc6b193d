#include "vmm/base/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <memory>
#include <mutex>

#include "vmm/base/escape.h"

namespace hull::log {
namespace {

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
    case Level::kOff:
      break;
  }
  return spdlog::level::off;
}

// Writes each line with one write(2), so that lines of several processes on one terminal do not
// mix.
class FdSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FdSink(int fd) : fd_(fd) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    // A log that cannot be written has nowhere to say so.
    [[maybe_unused]] const ssize_t ignored = ::write(fd_, line.data(), line.size());
  }
  void flush_() override {}

  const int fd_;
};

std::shared_ptr<spdlog::logger>& Logger() {
  static std::shared_ptr<spdlog::logger> logger;
  return logger;
}

std::atomic<Level> g_level = Level::kWarn;

}  // namespace

void Start(std::string_view program, Level level, int fd) {
  g_level.store(level, std::memory_order_relaxed);
  auto logger =
      std::make_shared<spdlog::logger>(std::string(program), std::make_shared<FdSink>(fd));
  logger->set_pattern("%n: %l: %v");
  logger->set_level(ToSpdlog(level));
  Logger() = std::move(logger);
}

bool Enabled(Level level) {
  return level >= g_level.load(std::memory_order_relaxed);
}

void Write(Level level, std::string_view text) {
  if (!Logger()) Start("hull", g_level.load(std::memory_order_relaxed));
  Logger()->log(ToSpdlog(level), spdlog::string_view_t(EscapeControl(text)));
}

bool RateLimit::Allow() {
  uint32_t left = left_.load(std::memory_order_relaxed);
  while (left > 0) {
    if (left_.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) return true;
  }
  const int64_t now = std::chrono::steady_clock::now().time_since_epoch().count();
  int64_t next = next_ns_.load(std::memory_order_relaxed);
  const int64_t later = now + std::chrono::nanoseconds(interval_).count();
  return now >= next && next_ns_.compare_exchange_strong(next, later, std::memory_order_relaxed);
}

}  // namespace hull::log
