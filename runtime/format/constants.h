// Go's constants as they are written in a template.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/value.hpp>

#include "vmm/base/result.h"

namespace hull::format {

// With its quotes: "a\n" or `a`. kInvalidArgument.
Result<std::string> Unquote(std::string_view quoted);

// 1, 0x1f, 1_000, 1.5e3, 'c'.
Result<boost::json::value> ParseNumber(std::string_view text);

// Appends a code point as UTF-8; what is none becomes U+FFFD.
void AppendUtf8(uint32_t code_point, std::string& text);

// Takes the first code point off `text`, which is not empty: U+FFFD for one byte that begins none.
struct CodePoint {
  uint32_t value = 0;
  size_t size_bytes = 0;
  bool is_valid = true;
};
CodePoint FirstCodePoint(std::string_view text);

// How many code points.
size_t CountCodePoints(std::string_view text);

}  // namespace hull::format
