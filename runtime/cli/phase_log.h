// --debug: what happened when, and what the guest's kernel says, on standard error.
#pragma once

#include <chrono>
#include <string_view>

namespace hull::cli {

class PhaseLog {
 public:
  explicit PhaseLog(bool enabled) : enabled_(enabled), start_(std::chrono::steady_clock::now()) {}

  bool enabled() const { return enabled_; }
  // "debug:   12.3 ms  agent ready"
  void Mark(std::string_view what) const;
  // Guest text, line by line, made fit for a terminal.
  void Guest(std::string_view text) const;

 private:
  bool enabled_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace hull::cli
