#include "runtime/format/human.h"

#include <time.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace hull::format {
namespace {

constexpr int64_t kSecondsPerHour = 3600;
constexpr int64_t kHoursPerDay = 24;

// Takes `count` digits off `text`; -1 when they are not there.
int TakeDigits(std::string_view& text, size_t count) {
  if (text.size() < count) return -1;
  int value = 0;
  for (const char c : text.substr(0, count)) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool Take(std::string_view& text, std::string_view one_of) {
  if (text.empty() || one_of.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

// Digits of a fraction as nanoseconds; what is finer is dropped. -1: there are none.
int64_t TakeFraction(std::string_view& text) {
  int64_t unit = kNsPerSecond;
  int64_t ns = 0;
  size_t digits = 0;
  for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; ++digits) {
    unit /= 10;
    ns += unit * (text.front() - '0');
    text.remove_prefix(1);
  }
  return digits == 0 ? -1 : ns;
}

bool IsValid(const tm& fields) {
  return fields.tm_year >= -1900 && fields.tm_mon >= 0 && fields.tm_mon <= 11 &&
         fields.tm_mday >= 1 && fields.tm_mday <= 31 && fields.tm_hour >= 0 &&
         fields.tm_hour <= 23 && fields.tm_min >= 0 && fields.tm_min <= 59 && fields.tm_sec >= 0 &&
         fields.tm_sec <= 60;
}

// "Z", "+01:00": seconds east of Greenwich; -1: it is none.
std::optional<int64_t> TakeZone(std::string_view& text) {
  if (Take(text, "Zz")) return 0;
  const bool behind = text.starts_with('-');
  if (!Take(text, "+-")) return std::nullopt;
  const int hours = TakeDigits(text, 2);
  if (!Take(text, ":")) return std::nullopt;
  const int minutes = TakeDigits(text, 2);
  if (hours < 0 || minutes < 0) return std::nullopt;
  const int64_t offset = int64_t{60} * (hours * 60 + minutes);
  return behind ? -offset : offset;
}

// seconds * 10^9 + ns, when that fits.
std::optional<int64_t> ToNs(int64_t seconds, int64_t ns) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max() / kNsPerSecond - 1;
  if (seconds > kMost || seconds < -kMost) return std::nullopt;
  return seconds * kNsPerSecond + ns;
}

// "2026-11-22T18:00:00.123Z"; with `partial` it may end behind the day or the minute, and the zone
// may be missing.
std::optional<int64_t> ParseDate(std::string_view text, bool partial) {
  tm fields = {};
  fields.tm_year = TakeDigits(text, 4) - 1900;
  bool valid = Take(text, "-");
  fields.tm_mon = TakeDigits(text, 2) - 1;
  valid = valid && Take(text, "-");
  fields.tm_mday = TakeDigits(text, 2);
  int64_t ns = 0;
  if (!partial || text.find(':') != std::string_view::npos || Take(text, "Tt ")) {
    if (!partial || !text.empty()) {
      Take(text, "Tt ");
      fields.tm_hour = TakeDigits(text, 2);
    }
    if (!partial || text.starts_with(':')) {
      valid = valid && Take(text, ":");
      fields.tm_min = TakeDigits(text, 2);
    }
    if (!partial || text.starts_with(':')) {
      valid = valid && Take(text, ":");
      fields.tm_sec = TakeDigits(text, 2);
    }
    if (Take(text, ".")) ns = TakeFraction(text);
  }
  if (!valid || ns < 0 || !IsValid(fields)) return std::nullopt;
  if (partial && text.empty()) {
    fields.tm_isdst = -1;
    return ToNs(::mktime(&fields), ns);
  }
  const std::optional<int64_t> zone = TakeZone(text);
  if (!zone || !text.empty()) return std::nullopt;
  return ToNs(::timegm(&fields) - *zone, ns);
}

enum class Zone { kUtc, kLocal };

std::string WithFormat(int64_t time_ns, const char* format, Zone zone = Zone::kUtc) {
  const bool rounds = time_ns < 0 && time_ns % kNsPerSecond != 0;
  const time_t seconds = time_ns / kNsPerSecond - (rounds ? 1 : 0);
  tm fields = {};
  std::array<char, 64> text{};
  if (zone == Zone::kLocal) {
    ::tzset();
    ::localtime_r(&seconds, &fields);
  } else {
    ::gmtime_r(&seconds, &fields);
  }
  // -Wformat-nonliteral: the callers give constants.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  const size_t size = ::strftime(text.data(), text.size(), format, &fields);
#pragma GCC diagnostic pop
  return {text.data(), size};
}

// RFC 3339 has the zone as "Z" or "+01:00", strftime as "+0100".
std::string LocalZone(int64_t time_ns) {
  std::string zone = WithFormat(time_ns, "%z", Zone::kLocal);
  if (zone.size() != 5 || zone == "+0000") return "Z";
  return zone.insert(3, ":");
}

int64_t Fraction(int64_t time_ns) {
  return (time_ns % kNsPerSecond + kNsPerSecond) % kNsPerSecond;
}

}  // namespace

std::string HumanSize(uint64_t bytes) {
  constexpr std::array<std::string_view, 7> kUnits = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  constexpr double kStep = 1000.0;
  auto size = static_cast<double>(bytes);
  size_t unit = 0;
  while (size >= kStep && unit + 1 < kUnits.size()) {
    size /= kStep;
    ++unit;
  }
  return fmt::format("{:.3g}{}", size, kUnits[unit]);
}

std::string HumanDuration(int64_t seconds) {
  const int64_t minutes = seconds / 60;
  const auto hours = static_cast<int64_t>(
      std::floor(static_cast<double>(seconds) / static_cast<double>(kSecondsPerHour) + 0.5));
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return fmt::format("{} seconds", seconds);
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return fmt::format("{} minutes", minutes);
  if (hours == 1) return "About an hour";
  if (hours < 48) return fmt::format("{} hours", hours);
  if (hours < kHoursPerDay * 7 * 2) return fmt::format("{} days", hours / kHoursPerDay);
  if (hours < kHoursPerDay * 30 * 2) return fmt::format("{} weeks", hours / kHoursPerDay / 7);
  if (hours < kHoursPerDay * 365 * 2) return fmt::format("{} months", hours / kHoursPerDay / 30);
  return fmt::format("{} years", seconds / kSecondsPerHour / kHoursPerDay / 365);
}

std::string Rfc3339(int64_t time_ns) {
  if (time_ns == 0) return "0001-01-01T00:00:00Z";
  std::string fraction = fmt::format(".{:09}", Fraction(time_ns));
  fraction.erase(fraction.find_last_not_of('0') + 1);
  if (fraction == ".") fraction.clear();
  return WithFormat(time_ns, "%Y-%m-%dT%H:%M:%S") + fraction + "Z";
}

std::string Rfc3339Nano(int64_t time_ns) {
  return WithFormat(time_ns, "%Y-%m-%dT%H:%M:%S") + fmt::format(".{:09}Z", Fraction(time_ns));
}

std::string Rfc3339Local(int64_t time_ns) {
  return WithFormat(time_ns, "%Y-%m-%dT%H:%M:%S", Zone::kLocal) + LocalZone(time_ns);
}

std::string Rfc3339NanoLocal(int64_t time_ns) {
  return WithFormat(time_ns, "%Y-%m-%dT%H:%M:%S", Zone::kLocal) +
         fmt::format(".{:09}", Fraction(time_ns)) + LocalZone(time_ns);
}

std::string GoTime(int64_t time_ns) {
  return WithFormat(time_ns, "%Y-%m-%d %H:%M:%S %z %Z", Zone::kLocal);
}

std::optional<int64_t> ParseRfc3339Ns(std::string_view text) {
  return ParseDate(text, false);
}

std::optional<int64_t> ParseTimestamp(std::string_view text) {
  const std::optional<int64_t> ns = ParseRfc3339Ns(text);
  if (!ns) return std::nullopt;
  return (*ns - Fraction(*ns)) / kNsPerSecond;
}

std::optional<int64_t> ParseGoDuration(std::string_view text) {
  struct Unit {
    std::string_view name;
    int64_t ns;
  };
  // Longer names before their beginnings.
  constexpr std::array kUnits = {
      Unit{"ns", 1},
      Unit{"us", 1'000},
      Unit{"\xc2\xb5s", 1'000},
      Unit{"ms", 1'000'000},
      Unit{"s", kNsPerSecond},
      Unit{"m", 60 * kNsPerSecond},
      Unit{"h", kSecondsPerHour * kNsPerSecond},
  };
  constexpr double kMost = 9.2e18;
  const bool is_negative = text.starts_with('-');
  Take(text, "+-");
  if (text == "0") return 0;
  double total = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    double number = 0;
    const size_t digits = text.find_first_not_of("0123456789.");
    if (digits == 0 || digits == std::string_view::npos) return std::nullopt;
    const auto [end, error] = std::from_chars(text.data(), text.data() + digits, number);
    if (error != std::errc() || end != text.data() + digits) return std::nullopt;
    text.remove_prefix(digits);
    const Unit* unit = nullptr;
    for (const Unit& one : kUnits) {
      if (unit == nullptr && text.starts_with(one.name)) unit = &one;
    }
    if (unit == nullptr) return std::nullopt;
    text.remove_prefix(unit->name.size());
    total += number * static_cast<double>(unit->ns);
  }
  if (total > kMost) return std::nullopt;
  const auto ns = static_cast<int64_t>(total);
  return is_negative ? -ns : ns;
}

Result<int64_t> ParseTimeArgument(std::string_view text, int64_t now_ns) {
  if (const std::optional<int64_t> ago = ParseGoDuration(text); ago && text != "0") {
    return now_ns - *ago;
  }
  const size_t digits = text.find_first_not_of("0123456789");
  if (digits != 0 && (digits == std::string_view::npos || text[digits] == '.')) {
    int64_t seconds = 0;
    std::string_view rest = text;
    rest.remove_prefix(std::min(digits, text.size()));
    const auto read =
        std::from_chars(text.data(), text.data() + (text.size() - rest.size()), seconds);
    int64_t ns = 0;
    if (Take(rest, ".")) ns = TakeFraction(rest);
    const std::optional<int64_t> time = ToNs(seconds, ns);
    if (read.ec == std::errc() && ns >= 0 && rest.empty() && time) return *time;
  } else if (const std::optional<int64_t> time = ParseDate(text, true)) {
    return *time;
  }
  return Fail(
      Error(ErrorCode::kInvalidArgument,
            fmt::format("failed to parse value as time or duration: \"{}\"", text))
          .WithHint("give a time (2026-11-22T18:00:00Z), seconds since 1970, or how long ago "
                    "(10m, 1h30m)"));
}

}  // namespace hull::format
