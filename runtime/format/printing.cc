#include "runtime/format/printing.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <vector>

#include "runtime/format/constants.h"

namespace hull::format {
namespace {

namespace json = boost::json;

std::string_view View(json::string_view text) {
  return {text.data(), text.size()};
}

// %5.2f
struct Verb {
  char letter = 'v';
  bool minus = false;
  bool plus = false;
  bool sharp = false;
  bool space = false;
  bool zero = false;
  int width = -1;
  int precision = -1;
};

std::string Format(const Verb& verb, ValuePointer value, bool inside);

std::string Pad(const Verb& verb, std::string text, bool is_number) {
  const size_t size = CountCodePoints(text);
  if (verb.width < 0 || size >= static_cast<size_t>(verb.width)) return text;
  const size_t missing = static_cast<size_t>(verb.width) - size;
  if (verb.minus) return text + std::string(missing, ' ');
  if (!verb.zero) return std::string(missing, ' ') + text;
  const bool has_sign = is_number && (text.starts_with('-') || text.starts_with('+'));
  return text.substr(0, has_sign ? 1 : 0) + std::string(missing, '0') +
         text.substr(has_sign ? 1 : 0);
}

// "%!d(string=hi)"
std::string WrongVerb(const Verb& verb, ValuePointer value) {
  if (value == nullptr || value->is_null()) return fmt::format("%!{}(<nil>)", verb.letter);
  return fmt::format("%!{}({}={})", verb.letter, TypeName(value), Format(Verb(), value, true));
}

std::string Quote(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const CodePoint point = FirstCodePoint(text);
    const std::string_view bytes = text.substr(0, point.size_bytes);
    const size_t escape = std::string_view("\a\b\f\n\r\t\v\\\"").find(bytes.front());
    if (escape != std::string_view::npos) {
      out += '\\';
      out += "abfnrtv\\\""[escape];
    } else if (!point.is_valid || point.value < ' ' || point.value == 0x7f) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes.front()));
    } else {
      out += bytes;
    }
    text.remove_prefix(point.size_bytes);
  }
  return out + "\"";
}

std::string Hex(std::string_view text, bool upper) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += upper ? fmt::format("{:02X}", byte) : fmt::format("{:02x}", byte);
  }
  return out;
}

std::string FormatString(const Verb& verb, std::string_view text, ValuePointer value) {
  if (verb.precision >= 0 && (verb.letter == 'v' || verb.letter == 's' || verb.letter == 'q')) {
    std::string_view rest = text;
    for (int i = 0; i < verb.precision && !rest.empty(); ++i) {
      rest.remove_prefix(FirstCodePoint(rest).size_bytes);
    }
    text = text.substr(0, text.size() - rest.size());
  }
  switch (verb.letter) {
    case 'v':
      return Pad(verb, verb.sharp ? Quote(text) : std::string(text), false);
    case 's':
      return Pad(verb, std::string(text), false);
    case 'q':
      return Pad(verb, Quote(text), false);
    case 'x':
    case 'X':
      return Pad(verb, Hex(text, verb.letter == 'X'), false);
    default:
      return WrongVerb(verb, value);
  }
}

std::string FormatInteger(const Verb& verb, bool is_negative, uint64_t magnitude,
                          ValuePointer value) {
  std::string digits;
  switch (verb.letter) {
    case 'v':
    case 'd':
      digits = fmt::format("{}", magnitude);
      break;
    case 'b':
      digits = verb.sharp ? fmt::format("{:#b}", magnitude) : fmt::format("{:b}", magnitude);
      break;
    case 'o':
      digits = fmt::format("{}{:o}", verb.sharp ? "0" : "", magnitude);
      break;
    case 'O':
      digits = fmt::format("0o{:o}", magnitude);
      break;
    case 'x':
      digits = verb.sharp ? fmt::format("{:#x}", magnitude) : fmt::format("{:x}", magnitude);
      break;
    case 'X':
      digits = verb.sharp ? fmt::format("{:#X}", magnitude) : fmt::format("{:X}", magnitude);
      break;
    case 'c':
      AppendUtf8(static_cast<uint32_t>(std::min<uint64_t>(magnitude, UINT32_MAX)), digits);
      return Pad(verb, digits, false);
    case 'q':
      AppendUtf8(static_cast<uint32_t>(std::min<uint64_t>(magnitude, UINT32_MAX)), digits);
      return Pad(verb, "'" + digits + "'", false);
    case 'U':
      return Pad(verb, fmt::format("U+{:04X}", magnitude), false);
    default:
      return WrongVerb(verb, value);
  }
  Verb padding = verb;
  if (verb.precision >= 0) {
    if (digits.size() < static_cast<size_t>(verb.precision)) {
      digits.insert(0, static_cast<size_t>(verb.precision) - digits.size(), '0');
    }
    padding.zero = false;
  }
  const char* const sign = is_negative ? "-" : verb.plus ? "+" : verb.space ? " " : "";
  return Pad(padding, sign + digits, true);
}

// Go's %g of the fewest digits that give the number back.
std::string ShortestFloat(double number) {
  std::array<char, 64> text{};
  const auto written =
      std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::scientific);
  const std::string scientific(text.data(), written.ptr);
  const size_t e = scientific.find('e');
  if (e == std::string::npos) return scientific;  // infinity
  const int exponent = std::atoi(scientific.c_str() + e + 1);
  constexpr int kLargestPlain = 6;
  if (exponent < -4 || exponent >= kLargestPlain) return scientific;
  const auto plain =
      std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  return {text.data(), plain.ptr};
}

std::string FormatFloat(const Verb& verb, double number, ValuePointer value) {
  if (std::string_view("veEfFgG").find(verb.letter) == std::string_view::npos) {
    return WrongVerb(verb, value);
  }
  std::string text;
  if (std::isnan(number) || std::isinf(number)) {
    text = std::isnan(number) ? "NaN" : number < 0 ? "-Inf" : "+Inf";
  } else if (verb.precision < 0 &&
             (verb.letter == 'v' || verb.letter == 'g' || verb.letter == 'G')) {
    text = ShortestFloat(number);
  } else {
    const char letter = verb.letter == 'v' ? 'g' : verb.letter;
    const std::array<char, 5> format = {'%', '.', '*', letter, '\0'};
    constexpr size_t kLongest = 2048;
    std::array<char, kLongest> buffer{};
    // -Wformat-nonliteral is right about formats that come from elsewhere; this one is made of a
    // letter out of seven.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    std::snprintf(buffer.data(), buffer.size(), format.data(),
                  verb.precision < 0 ? 6 : verb.precision, number);
#pragma GCC diagnostic pop
    text = buffer.data();
  }
  if (verb.plus && !text.starts_with('-') && !text.starts_with('+')) text.insert(0, "+");
  return Pad(verb, text, true);
}

std::string FormatList(const Verb& verb, const json::array& array) {
  std::string text = "[";
  for (const json::value& element : array) {
    if (text.size() > 1) text += " ";
    text += Format(verb, &element, true);
  }
  return text + "]";
}

std::string FormatMap(const Verb& verb, const json::object& object) {
  std::vector<const json::key_value_pair*> fields;
  for (const json::key_value_pair& field : object) fields.push_back(&field);
  std::sort(fields.begin(), fields.end(),
            [](const auto* a, const auto* b) { return View(a->key()) < View(b->key()); });
  std::string text = "map[";
  for (const json::key_value_pair* field : fields) {
    if (text.size() > 4) text += " ";
    text +=
        FormatString(verb, View(field->key()), nullptr) + ":" + Format(verb, &field->value(), true);
  }
  return text + "]";
}

std::string Format(const Verb& verb, ValuePointer value, bool inside) {
  if (verb.letter == 'T') return Pad(verb, std::string(TypeName(value)), false);
  if (value == nullptr || value->is_null()) {
    if (verb.letter == 'v') return Pad(verb, "<nil>", false);
    return inside ? fmt::format("%!{}(<nil>)", verb.letter) : WrongVerb(verb, nullptr);
  }
  switch (value->kind()) {
    case json::kind::bool_:
      if (verb.letter != 'v' && verb.letter != 't') return WrongVerb(verb, value);
      return Pad(verb, value->get_bool() ? "true" : "false", false);
    case json::kind::int64: {
      const int64_t number = value->get_int64();
      const auto bits = static_cast<uint64_t>(number);
      return FormatInteger(verb, number < 0, number < 0 ? ~bits + 1 : bits, value);
    }
    case json::kind::uint64:
      return FormatInteger(verb, false, value->get_uint64(), value);
    case json::kind::double_:
      return FormatFloat(verb, value->get_double(), value);
    case json::kind::string:
      return FormatString(verb, View(value->get_string()), value);
    case json::kind::array:
      return FormatList(verb, value->get_array());
    case json::kind::object:
      return FormatMap(verb, value->get_object());
    case json::kind::null:
      break;
  }
  return "<nil>";
}

bool IsText(ValuePointer value) {
  return value != nullptr && value->is_string();
}

// Reads "%-5.2f" and the like.
class Formatter {
 public:
  Formatter(std::string_view format, std::span<const ValuePointer> values)
      : rest_(format), values_(values) {}

  Result<std::string> Run() {
    std::string text;
    constexpr size_t kLongest = size_t{16} << 20U;
    while (!rest_.empty()) {
      const size_t percent = rest_.find('%');
      text += rest_.substr(0, percent);
      if (percent == std::string_view::npos) break;
      rest_.remove_prefix(percent + 1);
      HULL_ASSIGN(const std::string one, One());
      text += one;
      if (text.size() > kLongest) return Fail(ErrorCode::kExhausted, "printf gives too much");
    }
    if (next_ < values_.size()) text += Extra();
    return text;
  }

 private:
  Result<std::string> One() {
    Verb verb;
    while (Flag(verb)) {
    }
    HULL_TRY(Number(verb.width));
    if (verb.width < -1) {
      verb.minus = true;
      verb.width = -verb.width;
    }
    if (Take('.')) {
      verb.precision = 0;
      HULL_TRY(Number(verb.precision));
    }
    if (verb.minus) verb.zero = false;
    if (rest_.empty()) return std::string("%!(NOVERB)");
    verb.letter = rest_.front();
    if (verb.letter == 'v') verb.plus = false;
    const size_t letter_bytes = FirstCodePoint(rest_).size_bytes;
    const std::string letter(rest_.substr(0, letter_bytes));
    rest_.remove_prefix(letter_bytes);
    if (letter == "%") return letter;
    if (next_ >= values_.size()) return fmt::format("%!{}(MISSING)", letter);
    return Format(verb, values_[next_++], false);
  }
  bool Take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool Flag(Verb& verb) {
    if (Take('-')) return verb.minus = true;
    if (Take('+')) return verb.plus = true;
    if (Take('#')) return verb.sharp = true;
    if (Take(' ')) return verb.space = true;
    if (Take('0')) return verb.zero = true;
    return false;
  }
  // Digits, or "*" for the next value; left as it is when there is neither.
  Status Number(int& number) {
    constexpr int64_t kMost = 1'000;
    int64_t read = 0;
    if (Take('*')) {
      if (next_ >= values_.size() || !values_[next_]->is_int64()) {
        return Fail(ErrorCode::kInvalidArgument, "%!(BADWIDTH)");
      }
      read = values_[next_++]->get_int64();
    } else if (rest_.empty() || rest_.front() < '0' || rest_.front() > '9') {
      return {};
    }
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9' && read <= kMost) {
      read = read * 10 + (rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    if (read > kMost || read < -kMost) {
      return Fail(ErrorCode::kExhausted, "printf: a width or precision above {}", kMost);
    }
    number = static_cast<int>(read);
    return {};
  }
  std::string Extra() {
    std::string text = "%!(EXTRA ";
    for (size_t i = next_; i < values_.size(); ++i) {
      if (i > next_) text += ", ";
      const bool is_nil = values_[i] == nullptr || values_[i]->is_null();
      text += is_nil ? "<nil>"
                     : fmt::format("{}={}", TypeName(values_[i]), Format(Verb(), values_[i], true));
    }
    return text + ")";
  }

  std::string_view rest_;
  std::span<const ValuePointer> values_;
  size_t next_ = 0;
};

}  // namespace

std::string_view TypeName(ValuePointer value) {
  if (value == nullptr) return "<nil>";
  switch (value->kind()) {
    case json::kind::null:
      return "<nil>";
    case json::kind::bool_:
      return "bool";
    case json::kind::int64:
    case json::kind::uint64:
      return "int";
    case json::kind::double_:
      return "float64";
    case json::kind::string:
      return "string";
    case json::kind::array:
      return "[]interface {}";
    case json::kind::object:
      return "map[string]interface {}";
  }
  return "<nil>";
}

std::string Print(ValuePointer value) {
  if (value == nullptr || value->is_null()) return "<no value>";
  return Format(Verb(), value, false);
}

std::string Sprint(std::span<const ValuePointer> values) {
  std::string text;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0 && !IsText(values[i]) && !IsText(values[i - 1])) text += " ";
    text += Format(Verb(), values[i], false);
  }
  return text;
}

std::string Sprintln(std::span<const ValuePointer> values) {
  std::string text;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += " ";
    text += Format(Verb(), values[i], false);
  }
  return text + "\n";
}

Result<std::string> Sprintf(std::string_view format, std::span<const ValuePointer> values) {
  return Formatter(format, values).Run();
}

}  // namespace hull::format
