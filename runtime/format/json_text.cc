#include "runtime/format/json_text.h"

#include <array>
#include <charconv>
#include <cmath>

#include <boost/json/serialize.hpp>

namespace hull::format {
namespace {

namespace json = boost::json;

constexpr size_t kIndent = 4;

// Go's encoding: plain digits unless the number is very large or very small.
std::string Number(double number) {
  if (!std::isfinite(number)) return "null";
  constexpr double kSmallest = 1e-6;
  constexpr double kLargest = 1e21;
  const double size = std::fabs(number);
  const bool is_plain = size == 0 || (size >= kSmallest && size < kLargest);
  std::array<char, 64> text{};
  const auto written =
      std::to_chars(text.data(), text.data() + text.size(), number,
                    is_plain ? std::chars_format::fixed : std::chars_format::scientific);
  return {text.data(), written.ptr};
}

class Writer {
 public:
  explicit Writer(bool indented) : indented_(indented) {}

  std::string Write(const json::value& value) {
    Value(value, 0);
    return std::move(text_);
  }

 private:
  void NewLine(size_t level) {
    if (indented_) text_ += "\n" + std::string(level * kIndent, ' ');
  }
  void Value(const json::value& value, size_t level) {
    if (value.is_object()) return Object(value.get_object(), level);
    if (value.is_array()) return Array(value.get_array(), level);
    text_ += value.is_double() ? Number(value.get_double()) : json::serialize(value);
  }
  void Object(const json::object& object, size_t level) {
    text_ += '{';
    bool first = true;
    for (const json::key_value_pair& field : object) {
      if (!first) text_ += ',';
      first = false;
      NewLine(level + 1);
      text_ += json::serialize(field.key()) + (indented_ ? ": " : ":");
      Value(field.value(), level + 1);
    }
    if (!first) NewLine(level);
    text_ += '}';
  }
  void Array(const json::array& array, size_t level) {
    text_ += '[';
    bool first = true;
    for (const json::value& element : array) {
      if (!first) text_ += ',';
      first = false;
      NewLine(level + 1);
      Value(element, level + 1);
    }
    if (!first) NewLine(level);
    text_ += ']';
  }

  bool indented_;
  std::string text_;
};

}  // namespace

std::string WriteJson(const json::value& value) {
  return Writer(false).Write(value);
}

std::string WriteIndentedJson(const json::value& value) {
  return Writer(true).Write(value);
}

}  // namespace hull::format
