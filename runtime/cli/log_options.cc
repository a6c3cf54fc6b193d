#include "runtime/cli/log_options.h"

#include <charconv>
#include <limits>

#include "runtime/cli/units.h"
#include "runtime/cli/variables.h"
#include "vmm/base/escape.h"

namespace hull::cli {
namespace {

Result<uint64_t> ParseMaxSize(const std::string& value) {
  // docker: no limit.
  if (value == "-1") return std::numeric_limits<uint64_t>::max();
  Result<uint64_t> bytes = ParseBytes(value);
  if (!bytes) return bytes;
  if (*bytes == 0) return Fail(ErrorCode::kInvalidArgument, "max-size must be a positive number");
  return bytes;
}

Result<uint32_t> ParseMaxFiles(const std::string& value) {
  uint32_t files = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), files);
  if (error != std::errc() || end != value.data() + value.size()) {
    return Fail(ErrorCode::kInvalidArgument, "max-file: '{}' is not a number",
                EscapeControl(value));
  }
  if (files == 0) return Fail(ErrorCode::kInvalidArgument, "max-file cannot be less than 1");
  return files;
}

}  // namespace

Status ReadLogOptions(const FlagReader& reader, ContainerOptions& container) {
  const std::string driver = reader.Text(RunFlag::kLogDriver);
  const std::vector<std::string> options = reader.List(RunFlag::kLogOpt);
  constexpr std::string_view kElsewhere[] = {"syslog",  "journald", "gelf",    "fluentd",
                                             "awslogs", "splunk",   "etwlogs", "gcplogs"};
  for (const std::string_view other : kElsewhere) {
    if (driver != other) continue;
    return Fail(ErrorCode::kUnsupported,
                "--log-driver {}: hull keeps logs in files of its own; hull logs -f feeds them to "
                "another program",
                driver);
  }
  if (!driver.empty() && driver != "none" && driver != "json-file" && driver != "local") {
    return Fail(ErrorCode::kInvalidArgument, "logger: no log driver named '{}' is registered",
                EscapeControl(driver));
  }
  if (driver == "none" && !options.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "invalid logging opts for driver none");
  }
  container.log_driver = driver;
  container.log.disabled = driver == "none";
  for (const std::string& option : options) SetNameValue(container.log_options, option);
  for (const auto& [name, value] : container.log_options) {
    if (name == "max-size") {
      HULL_ASSIGN(container.log.max_bytes, ParseMaxSize(value));
    } else if (name == "max-file") {
      HULL_ASSIGN(container.log.max_files, ParseMaxFiles(value));
    } else {
      return Fail(ErrorCode::kInvalidArgument, "unknown log opt '{}' for {} log driver",
                  EscapeControl(name), driver.empty() ? "json-file" : driver);
    }
  }
  return {};
}

}  // namespace hull::cli
