#include "runtime/cli/phase_log.h"

#include <fmt/core.h>
#include <unistd.h>

#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::cli {

void PhaseLog::Mark(std::string_view what) const {
  if (!enabled_) return;
  const std::chrono::duration<double, std::milli> since = std::chrono::steady_clock::now() - start_;
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

}  // namespace hull::cli
