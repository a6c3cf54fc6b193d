#include "guest-agent/devices/kernel_lines.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <deque>

#include "vmm/base/escape.h"
#include "vmm/base/unique_fd.h"

namespace hull::agent {
namespace {

constexpr size_t kMaxRecordBytes = 8192;
constexpr size_t kMaxRecords = 65536;
constexpr size_t kMaxLineBytes = 300;

}  // namespace

std::string KernelLine(std::string_view record) {
  // "priority,sequence,microseconds,flags[,...];text\n KEY=value\n":
  // Documentation/ABI/testing/dev-kmsg
  unsigned priority = 0;
  const auto parsed = std::from_chars(record.data(), record.data() + record.size(), priority);
  const size_t semicolon = record.find(';');
  if (parsed.ec != std::errc() || semicolon == std::string_view::npos) return {};
  // Above the lowest three bits: who spoke. What user space wrote, the agent's own log above all,
  // has another number there than 0.
  if ((priority >> 3) != 0) return {};
  std::string_view text = record.substr(semicolon + 1);
  text = text.substr(0, text.find('\n'));
  return EscapeControl(text.substr(0, kMaxLineBytes));
}

std::vector<std::string> KernelLinesWith(const std::vector<std::string>& words, size_t count,
                                         const std::string& path) {
  const UniqueFd log(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  std::deque<std::string> lines;
  std::array<char, kMaxRecordBytes> bytes;
  for (size_t i = 0; log.valid() && i < kMaxRecords; ++i) {
    const ssize_t size = ::read(log.get(), bytes.data(), bytes.size());
    // EPIPE: overwritten while we read; the next read goes on behind.
    if (size < 0 && (errno == EPIPE || errno == EINTR)) continue;
    if (size <= 0) break;
    std::string line = KernelLine(std::string_view(bytes.data(), static_cast<size_t>(size)));
    const bool wanted = std::any_of(words.begin(), words.end(), [&](const std::string& word) {
      return line.find(word) != std::string::npos;
    });
    if (!wanted) continue;
    lines.push_back(std::move(line));
    if (lines.size() > count) lines.pop_front();
  }
  return {lines.begin(), lines.end()};
}

std::string InKernelsWords(const std::vector<std::string>& lines) {
  if (lines.empty()) return {};
  return fmt::format(" (the guest's kernel: {})", fmt::join(lines, "; "));
}

}  // namespace hull::agent
