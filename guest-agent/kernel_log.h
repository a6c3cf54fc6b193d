// The agent's own log. In a guest it goes to the kernel's log (/dev/kmsg): errors reach the
// console, the rest stays in the ring buffer, since each console write costs the sandbox VM exits.
#pragma once

#include <fmt/core.h>

#include <string_view>
#include <utility>

namespace hull::agent {

// Numbers are syslog's severities.
enum class Severity { kError = 3, kWarning = 4, kInfo = 6 };

// Until then, and when `kmsg` is false, lines go to standard error.
void StartKernelLog(bool kmsg);

// One line, cut at 900 bytes; control characters are escaped, since the text may quote a container.
void LogLine(Severity severity, std::string_view text);

template <typename... Args>
void LogError(fmt::format_string<Args...> format, Args&&... args) {
  LogLine(Severity::kError, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogWarning(fmt::format_string<Args...> format, Args&&... args) {
  LogLine(Severity::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogInfo(fmt::format_string<Args...> format, Args&&... args) {
  LogLine(Severity::kInfo, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace hull::agent
