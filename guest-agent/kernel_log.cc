#include "guest-agent/kernel_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "vmm/base/escape.h"

namespace hull::agent {
namespace {

constexpr size_t kMaxLineBytes = 900;  // the kernel cuts a record at about 1,000

int log_fd = STDERR_FILENO;
bool is_kmsg = false;

}  // namespace

void StartKernelLog(bool kmsg) {
  if (!kmsg) return;
  const int fd = ::open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  log_fd = fd;
  is_kmsg = true;
}

void LogLine(Severity severity, std::string_view text) {
  const std::string escaped = EscapeControl(text.substr(0, kMaxLineBytes));
  const std::string line =
      is_kmsg ? fmt::format("<{}>hull-agent: {}", static_cast<int>(severity), escaped)
              : fmt::format("hull-agent: {}\n", escaped);
  // Nobody can be told that the log failed.
  [[maybe_unused]] const ssize_t ignored = ::write(log_fd, line.data(), line.size());
}

}  // namespace hull::agent
