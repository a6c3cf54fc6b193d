#include "runtime/format/constants.h"

#include <charconv>
#include <limits>

namespace hull::format {
namespace {

constexpr uint32_t kReplacement = 0xfffd;
constexpr uint32_t kLastCodePoint = 0x10ffff;

// Simple escapes: \n and the like; 0: it is none.
char SimpleEscape(char c) {
  constexpr std::string_view kLetters = "abfnrtv\\'\"";
  constexpr std::string_view kMeant = "\a\b\f\n\r\t\v\\'\"";
  const size_t at = kLetters.find(c);
  return at == std::string_view::npos ? '\0' : kMeant[at];
}

// Behind the backslash: `text` loses what it takes.
Status AppendEscape(std::string_view& text, std::string& out) {
  const char letter = text.front();
  if (const char simple = SimpleEscape(letter); simple != '\0') {
    text.remove_prefix(1);
    out += simple;
    return {};
  }
  const bool is_octal = letter >= '0' && letter <= '7';
  const size_t digits = is_octal        ? 3
                        : letter == 'x' ? 2
                        : letter == 'u' ? 4
                        : letter == 'U' ? 8
                                        : 0;
  if (digits == 0) return Fail(ErrorCode::kInvalidArgument, "unknown escape");
  if (!is_octal) text.remove_prefix(1);
  if (text.size() < digits) return Fail(ErrorCode::kInvalidArgument, "short escape");
  uint32_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + digits, value, is_octal ? 8 : 16);
  if (error != std::errc() || end != text.data() + digits) {
    return Fail(ErrorCode::kInvalidArgument, "bad escape");
  }
  text.remove_prefix(digits);
  const bool is_byte = is_octal || letter == 'x';
  const bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
  if (is_byte ? value > 0xff : value > kLastCodePoint || is_surrogate) {
    return Fail(ErrorCode::kInvalidArgument, "bad escape");
  }
  if (is_byte) {
    out += static_cast<char>(static_cast<unsigned char>(value));
  } else {
    AppendUtf8(value, out);
  }
  return {};
}

}  // namespace

void AppendUtf8(uint32_t code_point, std::string& text) {
  const bool is_surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
  if (code_point > kLastCodePoint || is_surrogate) code_point = kReplacement;
  const auto add = [&](uint32_t byte) {
    text += static_cast<char>(static_cast<unsigned char>(byte));
  };
  if (code_point < 0x80) return add(code_point);
  if (code_point < 0x800) {
    add(0xc0 | code_point >> 6U);
  } else {
    if (code_point < 0x10000) {
      add(0xe0 | code_point >> 12U);
    } else {
      add(0xf0 | code_point >> 18U);
      add(0x80 | (code_point >> 12U & 0x3f));
    }
    add(0x80 | (code_point >> 6U & 0x3f));
  }
  add(0x80 | (code_point & 0x3f));
}

CodePoint FirstCodePoint(std::string_view text) {
  const auto byte = [&](size_t at) {
    return at < text.size() ? static_cast<uint32_t>(static_cast<unsigned char>(text[at])) : 0U;
  };
  const uint32_t first = byte(0);
  if (first < 0x80) return {first, 1, true};
  const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  uint32_t value = first & (0x7fU >> size);
  bool is_valid = first >= 0xc2 && first <= 0xf4;
  for (size_t i = 1; i < size; ++i) {
    is_valid = is_valid && (byte(i) & 0xc0U) == 0x80;
    value = value << 6U | (byte(i) & 0x3fU);
  }
  is_valid = is_valid && value >= kLeast[size] && value <= kLastCodePoint &&
             (value < 0xd800 || value > 0xdfff);
  if (!is_valid) return {kReplacement, 1, false};
  return {value, size, true};
}

size_t CountCodePoints(std::string_view text) {
  size_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(FirstCodePoint(text).size_bytes);
  return count;
}

Result<std::string> Unquote(std::string_view quoted) {
  std::string_view text = quoted.substr(1, quoted.size() - 2);
  if (quoted.front() == '`') return std::string(text);
  std::string out;
  while (!text.empty()) {
    if (text.front() != '\\') {
      out += text.front();
      text.remove_prefix(1);
      continue;
    }
    text.remove_prefix(1);
    if (text.empty() || !AppendEscape(text, out)) {
      return Fail(ErrorCode::kInvalidArgument, "invalid syntax");
    }
  }
  return out;
}

Result<boost::json::value> ParseNumber(std::string_view text) {
  const Error bad = MakeError(ErrorCode::kInvalidArgument, "bad number syntax: \"{}\"", text);
  if (text.starts_with('\'')) {
    Result<std::string> character = Unquote(text);
    if (!character || character->empty()) return Fail(bad);
    const CodePoint code_point = FirstCodePoint(*character);
    if (code_point.size_bytes != character->size()) return Fail(bad);
    return boost::json::value(static_cast<int64_t>(code_point.value));
  }
  std::string digits;
  for (const char c : text) {
    if (c != '_') digits += c;
  }
  std::string_view rest = digits;
  const bool is_negative = rest.starts_with('-');
  if (is_negative || rest.starts_with('+')) rest.remove_prefix(1);
  int base = 10;
  if (rest.size() > 1 && rest[0] == '0' && rest[1] != '.' && rest[1] != 'e' && rest[1] != 'E') {
    const char kind = rest[1];
    base = kind == 'x' || kind == 'X' ? 16 : kind == 'b' || kind == 'B' ? 2 : 8;
    rest.remove_prefix(kind >= '0' && kind <= '9' ? 1 : 2);
  }
  uint64_t magnitude = 0;
  const char* const end = rest.data() + rest.size();
  if (const auto read = std::from_chars(rest.data(), end, magnitude, base);
      read.ec == std::errc() && read.ptr == end) {
    const uint64_t most = uint64_t{std::numeric_limits<int64_t>::max()} + (is_negative ? 1 : 0);
    if (magnitude > most)
      return Fail(ErrorCode::kInvalidArgument, "integer overflow: \"{}\"", text);
    return boost::json::value(static_cast<int64_t>(is_negative ? ~magnitude + 1 : magnitude));
  }
  if (rest.find_first_not_of("0123456789") == std::string_view::npos && !rest.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "integer overflow: \"{}\"", text);
  }
  double number = 0;
  const auto read = std::from_chars(rest.data(), end, number);
  if (base != 10 || rest.empty() || read.ec != std::errc() || read.ptr != end ||
      rest.find_first_not_of("0123456789.eE+-") != std::string_view::npos) {
    return Fail(bad);
  }
  return boost::json::value(is_negative ? -number : number);
}

}  // namespace hull::format
