#include "runtime/resource_limit.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "vmm/base/escape.h"

namespace hull {
namespace {

// All of setrlimit(2) but the address space: docker leaves that out, because the container's
// runtime would be the first to run into it.
constexpr std::string_view kNames[] = {"core",    "cpu",      "data",   "fsize",      "locks",
                                       "memlock", "msgqueue", "nice",   "nofile",     "nproc",
                                       "rss",     "rtprio",   "rttime", "sigpending", "stack"};

Result<int64_t> ParseValue(std::string_view text) {
  if (text == "infinity") return -1;
  std::string_view digits = text;
  if (digits.starts_with('+') && !digits.starts_with("+-")) digits.remove_prefix(1);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc() && end == digits.data() + digits.size()) return value;
  return Fail(ErrorCode::kInvalidArgument, "strconv.ParseInt: parsing \"{}\": {}",
              EscapeControl(text),
              error == std::errc::result_out_of_range ? "value out of range" : "invalid syntax");
}

}  // namespace

Result<ResourceLimit> ParseResourceLimit(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) {
    return Fail(ErrorCode::kInvalidArgument, "invalid ulimit argument: {}", EscapeControl(text));
  }
  ResourceLimit limit;
  limit.name = std::string(text.substr(0, equals));
  if (std::find(std::begin(kNames), std::end(kNames), limit.name) == std::end(kNames)) {
    return Fail(ErrorCode::kInvalidArgument, "invalid ulimit type: {}", EscapeControl(limit.name));
  }
  const std::string_view values = text.substr(equals + 1);
  if (std::count(values.begin(), values.end(), ':') > 1) {
    return Fail(ErrorCode::kInvalidArgument,
                "too many limit value arguments - {}, can only have up to two, `soft[:hard]`",
                EscapeControl(values));
  }
  const size_t colon = values.find(':');
  if (colon != std::string_view::npos) {
    HULL_ASSIGN(limit.hard, ParseValue(values.substr(colon + 1)));
  }
  HULL_ASSIGN(limit.soft, ParseValue(values.substr(0, colon)));
  if (colon == std::string_view::npos) limit.hard = limit.soft;
  if (limit.hard == -1) return limit;
  if (limit.soft == -1) {
    return Fail(ErrorCode::kInvalidArgument,
                "ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), "
                "hard: {}",
                limit.hard);
  }
  if (limit.soft > limit.hard) {
    return Fail(ErrorCode::kInvalidArgument,
                "ulimit soft limit must be less than or equal to hard limit: {} > {}", limit.soft,
                limit.hard);
  }
  return limit;
}

void SetResourceLimit(std::vector<ResourceLimit>& limits, ResourceLimit limit) {
  const auto at = std::lower_bound(
      limits.begin(), limits.end(), limit,
      [](const ResourceLimit& a, const ResourceLimit& b) { return a.name < b.name; });
  if (at != limits.end() && at->name == limit.name) {
    *at = std::move(limit);
  } else {
    limits.insert(at, std::move(limit));
  }
}

std::string OciName(const ResourceLimit& limit) {
  std::string name = "RLIMIT_" + limit.name;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return name;
}

}  // namespace hull
