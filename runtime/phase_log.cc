#include "runtime/phase_log.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cstdlib>

#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull {

PhaseLog::PhaseLog(bool enabled) : enabled_(enabled), start_(std::chrono::steady_clock::now()) {
  const char* path = std::getenv("HULL_PHASES");
  if (path == nullptr || *path == '\0') return;
  // A file that cannot be opened costs the benchmark its notes, not the user the run.
  if (Result<UniqueFd> fd = OpenFile(path, O_WRONLY | O_CREAT | O_APPEND, 0600)) {
    notes_ = std::move(*fd);
    Mark("began");
  }
}

void PhaseLog::Mark(std::string_view what) const {
  const auto now = std::chrono::steady_clock::now();
  if (notes_.valid()) {
    const auto ns = std::chrono::nanoseconds(now.time_since_epoch()).count();
    static_cast<void>(WriteAll(notes_.get(), fmt::format("{} {}\n", ns, what)));
  }
  if (!enabled_) return;
  const std::chrono::duration<double, std::milli> since = now - start_;
  // \r: the terminal may be raw.
  static_cast<void>(
      WriteAll(STDERR_FILENO, fmt::format("debug: {:8.1f} ms  {}\r\n", since.count(), what)));
}

void PhaseLog::Guest(std::string_view text) const {
  if (!enabled_) return;
  std::string out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    while (line.ends_with('\r')) line.remove_suffix(1);
    out += fmt::format("guest: {}\r\n", EscapeControl(line));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  static_cast<void>(WriteAll(STDERR_FILENO, out));
}

}  // namespace hull
