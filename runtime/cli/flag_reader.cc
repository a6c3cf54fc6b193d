#include "runtime/cli/flag_reader.h"

#include <CLI/Option.hpp>

#include "runtime/cli/flag_values.h"

namespace hull::cli {
namespace {

size_t RowOf(RunFlag flag) {
  const std::span<const RunFlagSpec> table = RunFlagTable();
  size_t row = 0;
  while (table[row].flag != flag) ++row;
  return row;
}

std::string_view NamesOf(RunFlag flag) {
  return RunFlagTable()[RowOf(flag)].names;
}

// "|no|default|" has "no".
bool IsNeutral(const RunFlagSpec& spec, std::string_view value) {
  return spec.neutral.find(fmt::format("|{}|", value)) != std::string_view::npos;
}

}  // namespace

std::vector<std::string> FlagReader::ValuesOfRow(size_t row) const {
  if (row >= flags_.options.size() || flags_.options[row] == nullptr) return {};
  return flags_.options[row]->results();
}

std::vector<std::string> FlagReader::List(RunFlag flag) const {
  return ValuesOfRow(RowOf(flag));
}

std::optional<std::string> FlagReader::Value(RunFlag flag) const {
  std::vector<std::string> values = List(flag);
  if (values.empty()) return std::nullopt;
  return std::move(values.back());
}

Result<std::optional<bool>> FlagReader::Switch(RunFlag flag) const {
  const std::optional<std::string> value = Value(flag);
  if (!value) return std::nullopt;
  HULL_ASSIGN(const bool is_on, ParseSwitch(NamesOf(flag), *value));
  return is_on;
}

Result<std::optional<int64_t>> FlagReader::Integer(RunFlag flag) const {
  const std::optional<std::string> value = Value(flag);
  if (!value) return std::nullopt;
  HULL_ASSIGN(const int64_t number, ParseInteger(NamesOf(flag), *value));
  return number;
}

Result<std::optional<uint64_t>> FlagReader::Size(RunFlag flag) const {
  const std::optional<std::string> value = Value(flag);
  if (!value) return std::nullopt;
  HULL_ASSIGN(const uint64_t bytes, ParseSize(NamesOf(flag), *value));
  return bytes;
}

Error FlagReader::Wrong(RunFlag flag, std::string_view value, std::string_view why) const {
  return WrongValue(NamesOf(flag), value, why);
}

Status FlagReader::RefuseOthers() const {
  const std::span<const RunFlagSpec> table = RunFlagTable();
  for (size_t row = 0; row < table.size(); ++row) {
    const RunFlagSpec& spec = table[row];
    if (spec.reason.empty()) continue;
    for (const std::string& value : ValuesOfRow(row)) {
      std::string plain = value;
      if (spec.kind == RunFlagKind::kSwitch) {
        HULL_ASSIGN(const bool is_on, ParseSwitch(spec.names, value));
        plain = is_on ? "true" : "false";
      }
      if (IsNeutral(spec, plain)) continue;
      return Fail(ErrorCode::kUnsupported, "{}: {}", LongName(spec), spec.reason);
    }
  }
  return {};
}

}  // namespace hull::cli
