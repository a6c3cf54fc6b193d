// --debug: what happened when, and what the guest's kernel says, on standard error.
// For benchmarks, HULL_PHASES=FILE in the environment notes the same phases in a file, a line each:
// CLOCK_MONOTONIC in nanoseconds and the phase's name. Nothing else changes by it.
#pragma once

#include <chrono>
#include <string_view>

#include "vmm/base/unique_fd.h"

namespace hull {

class PhaseLog {
 public:
  explicit PhaseLog(bool enabled);

  bool enabled() const { return enabled_; }
  // Of the file of notes; -1 without.
  int notes_fd() const { return notes_.get(); }
  // "debug:   12.3 ms  agent ready"
  void Mark(std::string_view what) const;
  // Guest text, line by line, made fit for a terminal.
  void Guest(std::string_view text) const;

 private:
  bool enabled_;
  std::chrono::steady_clock::time_point start_;
  UniqueFd notes_;
};

}  // namespace hull
