// What a program on the host says first on the Unix socket: "CONNECT <port>\n", the port in
// decimal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

namespace hull::vsock {

// "CONNECT 4294967295\n", with room for nothing else.
inline constexpr size_t kMaxConnectLineBytes = 19;

struct ConnectLine {
  uint32_t port;
  size_t line_bytes;  // including the newline; what follows belongs to the guest

  bool operator==(const ConnectLine&) const = default;
};
struct ConnectLineIncomplete {
  bool operator==(const ConnectLineIncomplete&) const = default;
};
struct ConnectLineInvalid {
  bool operator==(const ConnectLineInvalid&) const = default;
};
using ConnectLineResult = std::variant<ConnectLine, ConnectLineIncomplete, ConnectLineInvalid>;

// Reads the line at the start of `text`, which may hold more or less than it. Says kInvalid as soon
// as no continuation could make it right.
ConnectLineResult ParseConnectLine(std::string_view text);

}  // namespace hull::vsock
