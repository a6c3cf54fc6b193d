// Sizes, durations and times as docker shows and reads them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "vmm/base/result.h"

namespace hull::format {

inline constexpr int64_t kNsPerSecond = 1'000'000'000;

// 2023424 as "2.02MB": powers of 1000, three digits.
std::string HumanSize(uint64_t bytes);

// 90 as "About a minute", 100000 as "28 hours". Negative ones are "Less than a second".
std::string HumanDuration(int64_t seconds);

// RFC 3339 in UTC with what there is of a fraction: "2026-11-22T18:00:00.5Z". Go's zero time,
// "0001-01-01T00:00:00Z", for 0. `time_ns`: nanoseconds since 1970.
std::string Rfc3339(int64_t time_ns);
// With all nine digits, as logs have it.
std::string Rfc3339Nano(int64_t time_ns);

// In the local time zone (TZ, /etc/localtime): "2026-11-22T19:00:00+01:00", "Z" where it is UTC;
// and with all nine digits. Docker has inspect and logs in UTC, lists and events in local time.
std::string Rfc3339Local(int64_t time_ns);
std::string Rfc3339NanoLocal(int64_t time_ns);

// In local time: "2026-11-22 18:00:00 +0000 UTC"
std::string GoTime(int64_t time_ns);

// RFC 3339, in nanoseconds since 1970; nullopt: it is none.
std::optional<int64_t> ParseRfc3339Ns(std::string_view text);
// The same in seconds; a fraction is dropped.
std::optional<int64_t> ParseTimestamp(std::string_view text);

// Go's durations in nanoseconds: "1h30m", "1.5s", "-300ms".
std::optional<int64_t> ParseGoDuration(std::string_view text);

// What --since and --until take: RFC 3339 (parts may be missing at its end, local time without a
// zone), a Unix time with a fraction, or how long ago as a Go duration. Nanoseconds since 1970.
// kInvalidArgument.
Result<int64_t> ParseTimeArgument(std::string_view text, int64_t now_ns);

}  // namespace hull::format
