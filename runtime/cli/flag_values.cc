#include "runtime/cli/flag_values.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "runtime/cli/units.h"
#include "vmm/base/escape.h"

namespace hull::cli {
namespace {

// Go's words for a number that is none.
Error WrongNumber(std::string_view names, std::string_view value, std::string_view function,
                  std::string_view why) {
  return WrongValue(names, value,
                    fmt::format("strconv.{}: parsing {}: {}", function, Quoted(value), why));
}

}  // namespace

std::string Quoted(std::string_view text) {
  std::string quoted;
  for (const char c : EscapeControl(text)) {
    if (c == '"') quoted.push_back('\\');
    quoted.push_back(c);
  }
  return fmt::format("\"{}\"", quoted);
}

Error WrongValue(std::string_view names, std::string_view value, std::string_view why) {
  const size_t comma = names.find(',');
  const std::string shown =
      comma == std::string_view::npos
          ? std::string(names)
          : fmt::format("{}, {}", names.substr(0, comma), names.substr(comma + 1));
  return MakeError(ErrorCode::kInvalidArgument, "invalid argument {} for \"{}\" flag: {}",
                   Quoted(value), shown, why);
}

Result<bool> ParseSwitch(std::string_view names, std::string_view value) {
  constexpr std::array<std::string_view, 6> kTrue = {"1", "t", "T", "true", "TRUE", "True"};
  constexpr std::array<std::string_view, 6> kFalse = {"0", "f", "F", "false", "FALSE", "False"};
  if (std::find(kTrue.begin(), kTrue.end(), value) != kTrue.end()) return true;
  if (std::find(kFalse.begin(), kFalse.end(), value) != kFalse.end()) return false;
  return Fail(WrongNumber(names, value, "ParseBool", "invalid syntax"));
}

Result<int64_t> ParseInteger(std::string_view names, std::string_view value) {
  std::string_view digits = value;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error == std::errc::result_out_of_range) {
    return Fail(WrongNumber(names, value, "ParseInt", "value out of range"));
  }
  if (error != std::errc() || end != digits.data() + digits.size() ||
      (digits.size() != value.size() && digits.starts_with('-'))) {
    return Fail(WrongNumber(names, value, "ParseInt", "invalid syntax"));
  }
  return number;
}

Result<uint64_t> ParseSize(std::string_view names, std::string_view value) {
  Result<uint64_t> bytes = ParseBytes(value);
  if (!bytes) return Fail(WrongValue(names, value, bytes.error().message()));
  return bytes;
}

}  // namespace hull::cli
