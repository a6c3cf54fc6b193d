#include "runtime/image_changes.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "vmm/base/escape.h"

namespace hull {
namespace {

namespace json = boost::json;

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

Error Wrong(std::string_view name, std::string_view why) {
  return MakeError(ErrorCode::kInvalidArgument, "--change {}: {}", name, why);
}

// Words as a Dockerfile has them: quotes keep blanks together, a backslash takes the next character
// as it is.
Result<std::vector<std::string>> Words(std::string_view name, std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool within = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      word += text[++i];
      within = true;
    } else if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
      within = true;
    } else if (c == ' ' || c == '\t') {
      if (within) words.push_back(std::exchange(word, {}));
      within = false;
    } else {
      word += c;
      within = true;
    }
  }
  if (quote != 0) return Fail(Wrong(name, "a quote has no end"));
  if (within) words.push_back(std::move(word));
  return words;
}

// ["a", "b"], or nothing when it is not that.
std::optional<json::array> StringList(std::string_view text) {
  if (!text.starts_with('[')) return std::nullopt;
  json::error_code failed;
  const json::value value = json::parse(text, failed);
  if (failed || !value.is_array()) return std::nullopt;
  for (const json::value& element : value.get_array()) {
    if (!element.is_string()) return std::nullopt;
  }
  return value.get_array();
}

json::array CommandOf(std::string_view text) {
  if (std::optional<json::array> list = StringList(text)) return *list;
  return {"/bin/sh", "-c", text};
}

json::object& ObjectAt(json::object& parent, std::string_view key) {
  json::value& value = parent[key];
  if (!value.is_object()) value.emplace_object();
  return value.get_object();
}

json::array& ArrayAt(json::object& parent, std::string_view key) {
  json::value& value = parent[key];
  if (!value.is_array()) value.emplace_array();
  return value.get_array();
}

// NAME=VALUE words, or the old form "NAME the rest".
Result<std::vector<std::pair<std::string, std::string>>> Settings(std::string_view name,
                                                                  std::string_view text) {
  std::vector<std::pair<std::string, std::string>> settings;
  const size_t blank = text.find_first_of(" \t");
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || (blank != std::string_view::npos && blank < equals)) {
    if (blank == std::string_view::npos) return Fail(Wrong(name, "must have two arguments"));
    settings.emplace_back(text.substr(0, blank), Trim(text.substr(blank)));
    return settings;
  }
  HULL_ASSIGN(const std::vector<std::string> words, Words(name, text));
  for (const std::string& word : words) {
    const size_t at = word.find('=');
    if (at == 0 || at == std::string::npos) {
      return Fail(Wrong(name, fmt::format("'{}' is not NAME=VALUE", EscapeControl(word))));
    }
    settings.emplace_back(word.substr(0, at), word.substr(at + 1));
  }
  return settings;
}

Status SetEnvironment(json::object& config, std::string_view text) {
  HULL_ASSIGN(const auto settings, Settings("ENV", text));
  json::array& environment = ArrayAt(config, "Env");
  for (const auto& [name, value] : settings) {
    const std::string prefix = name + "=";
    const auto same =
        std::find_if(environment.begin(), environment.end(), [&](const json::value& entry) {
          return entry.is_string() && std::string_view(entry.get_string()).starts_with(prefix);
        });
    if (same != environment.end()) {
      *same = prefix + value;
    } else {
      environment.emplace_back(prefix + value);
    }
  }
  return {};
}

Status SetLabels(json::object& config, std::string_view text) {
  HULL_ASSIGN(const auto settings, Settings("LABEL", text));
  for (const auto& [name, value] : settings) ObjectAt(config, "Labels")[name] = value;
  return {};
}

Status AddPorts(json::object& config, std::string_view text) {
  HULL_ASSIGN(const std::vector<std::string> words, Words("EXPOSE", text));
  for (const std::string& word : words) {
    const std::string port = word.find('/') == std::string::npos ? word + "/tcp" : word;
    const std::string_view number = std::string_view(port).substr(0, port.find('/'));
    if (number.empty() || !std::all_of(number.begin(), number.end(),
                                       [](char c) { return (c >= '0' && c <= '9') || c == '-'; })) {
      return Fail(Wrong("EXPOSE", fmt::format("invalid port '{}'", EscapeControl(word))));
    }
    ObjectAt(config, "ExposedPorts")[port] = json::object();
  }
  return {};
}

Status AddVolumes(json::object& config, std::string_view text) {
  if (const std::optional<json::array> list = StringList(text)) {
    for (const json::value& path : *list) {
      ObjectAt(config, "Volumes")[path.get_string()] = json::object();
    }
    return {};
  }
  HULL_ASSIGN(const std::vector<std::string> words, Words("VOLUME", text));
  for (const std::string& path : words) ObjectAt(config, "Volumes")[path] = json::object();
  return {};
}

void SetDirectory(json::object& config, std::string_view text) {
  std::string directory(text);
  const json::value* before = config.if_contains("WorkingDir");
  if (!directory.starts_with('/')) {
    const std::string base =
        before != nullptr && before->is_string() && !before->get_string().empty()
            ? std::string(before->get_string())
            : std::string("/");
    directory = base.ends_with('/') ? base + directory : base + "/" + directory;
  }
  config["WorkingDir"] = directory;
}

}  // namespace

Status ApplyImageChange(json::object& config, std::string_view instruction) {
  instruction = Trim(instruction);
  const size_t blank = std::min(instruction.find_first_of(" \t"), instruction.size());
  std::string name(instruction.substr(0, blank));
  for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  const std::string_view text = Trim(instruction.substr(blank));
  if (name == "CMD") {
    config["Cmd"] = CommandOf(text);
    return {};
  }
  if (name == "ENTRYPOINT") {
    config["Entrypoint"] = CommandOf(text);
    return {};
  }
  constexpr std::string_view kKnown[] = {"ENV",        "EXPOSE", "LABEL",  "ONBUILD",
                                         "STOPSIGNAL", "USER",   "VOLUME", "WORKDIR"};
  if (std::find(std::begin(kKnown), std::end(kKnown), name) == std::end(kKnown)) {
    return Fail(
        ErrorCode::kUnsupported,
        "--change '{}': only CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, "
        "VOLUME and WORKDIR can be changed",
        EscapeControl(instruction));
  }
  if (text.empty()) return Fail(Wrong(name, "requires an argument"));
  if (name == "ENV") return SetEnvironment(config, text);
  if (name == "LABEL") return SetLabels(config, text);
  if (name == "EXPOSE") return AddPorts(config, text);
  if (name == "VOLUME") return AddVolumes(config, text);
  if (name == "WORKDIR") SetDirectory(config, text);
  if (name == "USER") config["User"] = text;
  if (name == "STOPSIGNAL") config["StopSignal"] = text;
  if (name == "ONBUILD") ArrayAt(config, "OnBuild").emplace_back(text);
  return {};
}

}  // namespace hull
