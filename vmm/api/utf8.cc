#include "vmm/api/utf8.h"

#include <cstddef>
#include <cstdint>

namespace hull::api {
namespace {

// The length of the well-formed sequence (Unicode 15, table 3-7) that `text` begins with, or 0.
size_t SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) -> uint32_t {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto is_tail = [&](size_t i, uint32_t least = 0x80, uint32_t most = 0xbf) {
    return byte(i) >= least && byte(i) <= most;
  };
  const uint32_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return is_tail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    // No overlong forms, no surrogates.
    const uint32_t least = lead == 0xe0 ? 0xa0 : 0x80;
    const uint32_t most = lead == 0xed ? 0x9f : 0xbf;
    return is_tail(1, least, most) && is_tail(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    // No overlong forms, nothing above U+10FFFF.
    const uint32_t least = lead == 0xf0 ? 0x90 : 0x80;
    const uint32_t most = lead == 0xf4 ? 0x8f : 0xbf;
    return is_tail(1, least, most) && is_tail(2) && is_tail(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string ToUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0) {
      out += '?';
      text.remove_prefix(1);
    } else {
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return out;
}

}  // namespace hull::api
