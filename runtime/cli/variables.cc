#include "runtime/cli/variables.h"

#include <algorithm>

#include "runtime/utf8.h"
#include "runtime/variable_file.h"
#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

Result<std::vector<std::string>> ReadFiles(const std::vector<std::string>& paths,
                                           const VariableLookup& lookup) {
  std::vector<std::string> settings;
  for (const std::string& path : paths) {
    HULL_ASSIGN(const std::string text, ReadFile(path, kMaxVariableFileBytes));
    HULL_ASSIGN_WITHIN(fmt::format("invalid env file ({})", EscapeControl(path)),
                       const std::vector<std::string> lines, ParseVariableFile(text, lookup));
    settings.insert(settings.end(), lines.begin(), lines.end());
  }
  return settings;
}

}  // namespace

Result<std::vector<std::string>> ReadEnvironment(const FlagReader& reader,
                                                 const HostVariable& host_variable) {
  const VariableLookup lookup = [&](const std::string& name) -> std::optional<std::string> {
    const char* value = host_variable(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
  HULL_ASSIGN(std::vector<std::string> environment,
              ReadFiles(reader.List(RunFlag::kEnvFile), lookup));
  for (const std::string& setting : reader.List(RunFlag::kEnv)) {
    const size_t equals = setting.find('=');
    if (setting.empty() || equals == 0) {
      return Fail(
          reader.Wrong(RunFlag::kEnv, setting,
                       fmt::format("invalid environment variable: {}", EscapeControl(setting))));
    }
    const char* value = equals == std::string::npos ? host_variable(setting.c_str()) : nullptr;
    environment.push_back(value == nullptr ? setting : fmt::format("{}={}", setting, value));
  }
  return environment;
}

Result<std::vector<std::string>> ReadLabels(const FlagReader& reader) {
  HULL_ASSIGN(std::vector<std::string> labels, ReadFiles(reader.List(RunFlag::kLabelFile), {}));
  for (const std::string& label : reader.List(RunFlag::kLabel)) {
    if (label.empty() || label.starts_with('=')) {
      return Fail(
          reader.Wrong(RunFlag::kLabel, label,
                       fmt::format("invalid label '{}': empty name", EscapeControl(label))));
    }
    if (!IsUtf8(label)) {
      return Fail(reader.Wrong(RunFlag::kLabel, label, "not UTF-8"));
    }
    labels.push_back(label.find('=') == std::string::npos ? label + "=" : label);
  }
  return labels;
}

void SetNameValue(std::vector<NameValue>& list, std::string_view text) {
  const size_t equals = text.find('=');
  NameValue pair(text.substr(0, equals),
                 equals == std::string_view::npos ? std::string_view() : text.substr(equals + 1));
  const auto found = std::find_if(
      list.begin(), list.end(), [&](const NameValue& other) { return other.first == pair.first; });
  if (found != list.end()) {
    found->second = std::move(pair.second);
  } else {
    list.push_back(std::move(pair));
  }
}

}  // namespace hull::cli
