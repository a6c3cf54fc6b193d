#include "runtime/cli/units.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "vmm/base/checked.h"
#include "vmm/base/escape.h"

namespace hull::cli {
namespace {

constexpr uint64_t kNano = 1'000'000'000;
constexpr size_t kDecimals = 9;

// "12.345" or ".5" in billionths; false when it is no such number or too large.
bool ParseDecimal(std::string_view text, uint64_t& nano) {
  const size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::string_view rest = point == std::string_view::npos ? "" : text.substr(point + 1);
  if (whole.size() > 18 || rest.size() > kDecimals) return false;
  if (rest.empty() && (whole.empty() || point != std::string_view::npos)) return false;
  uint64_t value = 0;
  for (const char digit : std::string(whole)) {
    if (digit < '0' || digit > '9') return false;
    value = value * 10 + static_cast<uint64_t>(digit - '0');
  }
  const std::optional<uint64_t> scaled = CheckedMultiply(value, kNano);
  if (!scaled) return false;
  uint64_t unit = kNano;
  nano = *scaled;
  for (const char digit : rest) {
    if (digit < '0' || digit > '9') return false;
    unit /= 10;
    const std::optional<uint64_t> sum = CheckedAdd(nano, static_cast<uint64_t>(digit - '0') * unit);
    if (!sum) return false;
    nano = *sum;
  }
  return true;
}

}  // namespace

Result<uint64_t> ParseNanoCpus(std::string_view text) {
  uint64_t nano = 0;
  if (ParseDecimal(text, nano)) return nano;
  // docker's words.
  const size_t point = text.find('.');
  const bool is_precise = point != std::string_view::npos && text.size() - point - 1 > kDecimals &&
                          text.find_first_not_of("0123456789.") == std::string_view::npos;
  if (is_precise) return Fail(ErrorCode::kInvalidArgument, "value is too precise");
  return Fail(ErrorCode::kInvalidArgument, "failed to parse {} as a rational number",
              EscapeControl(text));
}

Result<uint64_t> ParseBytes(std::string_view text) {
  const auto bad = [text] {
    return Fail(ErrorCode::kInvalidArgument, "invalid size: '{}'", EscapeControl(text));
  };
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const size_t number_end = std::min(lower.find_first_not_of("0123456789."), lower.size());
  std::string_view unit = std::string_view(lower).substr(number_end);
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  constexpr std::string_view kUnits = "bkmgtp";
  uint64_t factor = 1;
  if (!unit.empty()) {
    const size_t power = kUnits.find(unit.front());
    const std::string_view rest = unit.substr(1);
    if (power == std::string_view::npos || (rest != "" && rest != "b" && rest != "ib"))
      return bad();
    if (power == 0 && !rest.empty()) return bad();
    factor = uint64_t{1} << (10 * power);
  }
  uint64_t nano = 0;
  if (!ParseDecimal(std::string_view(lower).substr(0, number_end), nano)) return bad();
  const uint64_t whole = nano / kNano;
  const std::optional<uint64_t> bytes = CheckedMultiply(whole, factor);
  if (!bytes) return bad();
  // The fraction of a unit, to the byte below.
  const auto fraction = static_cast<uint64_t>(static_cast<double>(nano % kNano) / double{kNano} *
                                              static_cast<double>(factor));
  const std::optional<uint64_t> sum = CheckedAdd(*bytes, fraction);
  if (!sum) return bad();
  return *sum;
}

}  // namespace hull::cli
