#include "vmm/virtio/vsock/connect_line.h"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace hull::vsock {
namespace {

constexpr std::string_view kCommand = "CONNECT ";
// VMADDR_PORT_ANY: not a port that can be connected to.
constexpr uint32_t kAnyPort = 0xffff'ffff;

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

ConnectLineResult ParseConnectLine(std::string_view text) {
  const size_t compared = std::min(text.size(), kCommand.size());
  if (text.substr(0, compared) != kCommand.substr(0, compared)) return ConnectLineInvalid{};
  if (text.size() <= kCommand.size()) return ConnectLineIncomplete{};

  const std::string_view rest = text.substr(kCommand.size());
  const auto end = std::find_if_not(rest.begin(), rest.end(), IsDigit);
  const std::string_view digits = rest.substr(0, static_cast<size_t>(end - rest.begin()));
  if (digits.empty()) return ConnectLineInvalid{};
  if (digits.size() > kMaxConnectLineBytes - kCommand.size() - 1) return ConnectLineInvalid{};
  if (end == rest.end()) return ConnectLineIncomplete{};
  if (*end != '\n') return ConnectLineInvalid{};

  uint32_t port = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || port == kAnyPort) return ConnectLineInvalid{};
  return ConnectLine{.port = port, .line_bytes = kCommand.size() + digits.size() + 1};
}

}  // namespace hull::vsock
