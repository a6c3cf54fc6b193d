// What a program on the host says first to the vsock socket.
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "vmm/base/check.h"
#include "vmm/virtio/vsock/connect_line.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hull::vsock;
  // SAFETY: bytes seen as characters; the view ends where the input does.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ConnectLineResult result = ParseConnectLine(text);
  if (const auto* line = std::get_if<ConnectLine>(&result)) {
    HULL_CHECK(line->line_bytes <= size && line->line_bytes <= kMaxConnectLineBytes);
    HULL_CHECK(text[line->line_bytes - 1] == '\n');
    // What comes after the line changes nothing.
    HULL_CHECK(ParseConnectLine(text.substr(0, line->line_bytes)) == result);
  }
  // An incomplete line always ends, one way or the other, within the cap.
  if (std::holds_alternative<ConnectLineIncomplete>(result))
    HULL_CHECK(size < kMaxConnectLineBytes);
  return 0;
}
