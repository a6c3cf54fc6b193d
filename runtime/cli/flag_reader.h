// Reads the values of run's flags as they were given (run_flags.h has the table).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/cli/run_flags.h"
#include "runtime/cli/run_options.h"
#include "vmm/base/result.h"

namespace hull::cli {

class FlagReader {
 public:
  explicit FlagReader(const RunFlags& flags) : flags_(flags) {}

  // All values given, in order.
  std::vector<std::string> List(RunFlag flag) const;
  // The last value given; nullopt: none was.
  std::optional<std::string> Value(RunFlag flag) const;
  // The last value, "" when none was given.
  std::string Text(RunFlag flag) const { return Value(flag).value_or(std::string()); }
  // nullopt: not given.
  Result<std::optional<bool>> Switch(RunFlag flag) const;
  Result<std::optional<int64_t>> Integer(RunFlag flag) const;
  Result<std::optional<uint64_t>> Size(RunFlag flag) const;

  // An error in docker's words about `value` of `flag`.
  Error Wrong(RunFlag flag, std::string_view value, std::string_view why) const;
  // kUnsupported: "--gpus: hull has no device passthrough yet".
  Status RefuseOthers() const;

 private:
  std::vector<std::string> ValuesOfRow(size_t row) const;

  const RunFlags& flags_;
};

}  // namespace hull::cli
