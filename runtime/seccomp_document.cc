#include "runtime/seccomp_document.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "runtime/capabilities.h"
#include "vmm/base/escape.h"

namespace hull {
namespace {

namespace json = boost::json;

// The guest's kernel.
constexpr int kKernelMajor = 6;
constexpr int kKernelMinor = 12;

constexpr std::string_view kActions[] = {
    "SCMP_ACT_KILL",  "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE",        "SCMP_ACT_ALLOW",       "SCMP_ACT_LOG"};
constexpr std::string_view kOperators[] = {"SCMP_CMP_NE",       "SCMP_CMP_LT", "SCMP_CMP_LE",
                                           "SCMP_CMP_EQ",       "SCMP_CMP_GE", "SCMP_CMP_GT",
                                           "SCMP_CMP_MASKED_EQ"};

template <typename... Args>
tl::unexpected<Error> Bad(fmt::format_string<Args...> format, Args&&... args) {
  return Fail(ErrorCode::kInvalidArgument, "decoding seccomp profile failed: {}",
              fmt::format(format, std::forward<Args>(args)...));
}

// Null when it is absent or null.
const json::value* Find(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(json::string_view(name.data(), name.size()));
  return value == nullptr || value->is_null() ? nullptr : value;
}

Result<std::string> Text(const json::object& object, std::string_view name) {
  const json::value* value = Find(object, name);
  if (value == nullptr) return std::string();
  if (!value->is_string()) return Bad("{} is not a string", name);
  return std::string(value->get_string());
}

Result<std::vector<std::string>> TextList(const json::object& object, std::string_view name) {
  std::vector<std::string> list;
  const json::value* value = Find(object, name);
  if (value == nullptr) return list;
  if (!value->is_array()) return Bad("{} is not a list", name);
  for (const json::value& element : value->get_array()) {
    if (!element.is_string()) return Bad("{} is not a list of strings", name);
    list.emplace_back(element.get_string());
  }
  return list;
}

Result<uint64_t> Number(const json::object& object, std::string_view name, uint64_t most) {
  const json::value* value = Find(object, name);
  if (value == nullptr) return 0;
  json::error_code error;
  const auto number = value->to_number<uint64_t>(error);
  if (error || number > most) return Bad("{} is not a number up to {}", name, most);
  return number;
}

bool Contains(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

bool HasCapability(std::string_view name, uint64_t capabilities) {
  const int number = CapabilityNumber(name);
  return number >= 0 && (capabilities >> static_cast<unsigned>(number) & 1U) != 0;
}

// "4.8": whether the guest's kernel is at least that.
Result<bool> IsKernelAtLeast(const std::string& version) {
  int major = 0;
  int minor = 0;
  const char* const end = version.data() + version.size();
  const auto first = std::from_chars(version.data(), end, major);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.') {
    return Bad("minKernel: '{}' is not a version such as 4.8", EscapeControl(version));
  }
  const auto second = std::from_chars(first.ptr + 1, end, minor);
  if (second.ec != std::errc() || second.ptr != end) {
    return Bad("minKernel: '{}' is not a version such as 4.8", EscapeControl(version));
  }
  return std::pair(kKernelMajor, kKernelMinor) >= std::pair(major, minor);
}

enum class When { kAll, kAny };

// One of "includes" and "excludes": whether all its conditions hold, or any of them. An empty one
// holds as "all", and not as "any".
Result<bool> Holds(const json::object& rule, std::string_view name, When when,
                   uint64_t capabilities) {
  const json::value* value = Find(rule, name);
  if (value == nullptr) return when == When::kAll;
  if (!value->is_object()) return Bad("{} is not an object", name);
  const json::object& conditions = value->get_object();
  HULL_ASSIGN(const std::vector<std::string> architectures, TextList(conditions, "arches"));
  HULL_ASSIGN(const std::vector<std::string> needed, TextList(conditions, "caps"));
  HULL_ASSIGN(const std::string kernel, Text(conditions, "minKernel"));
  std::vector<bool> held;
  if (!architectures.empty()) held.push_back(Contains(architectures, "amd64"));
  for (const std::string& capability : needed) {
    held.push_back(HasCapability(capability, capabilities));
  }
  if (!kernel.empty()) {
    HULL_ASSIGN(const bool is_new, IsKernelAtLeast(kernel));
    held.push_back(is_new);
  }
  if (when == When::kAny) return std::find(held.begin(), held.end(), true) != held.end();
  return std::find(held.begin(), held.end(), false) == held.end();
}

Status CheckAction(std::string_view action) {
  if (std::find(std::begin(kActions), std::end(kActions), action) != std::end(kActions)) return {};
  return Bad("action '{}' is not known", EscapeControl(action));
}

Result<json::array> Arguments(const json::object& rule) {
  json::array arguments;
  const json::value* value = Find(rule, "args");
  if (value == nullptr) return arguments;
  if (!value->is_array()) return Bad("args is not a list");
  constexpr uint64_t kLastArgument = 5;
  for (const json::value& element : value->get_array()) {
    if (!element.is_object()) return Bad("args is not a list of objects");
    const json::object& argument = element.get_object();
    json::object made;
    HULL_ASSIGN(made["index"], Number(argument, "index", kLastArgument));
    HULL_ASSIGN(made["value"], Number(argument, "value", UINT64_MAX));
    HULL_ASSIGN(made["valueTwo"], Number(argument, "valueTwo", UINT64_MAX));
    HULL_ASSIGN(const std::string compare, Text(argument, "op"));
    if (std::find(std::begin(kOperators), std::end(kOperators), compare) == std::end(kOperators)) {
      return Bad("operator '{}' is not known", EscapeControl(compare));
    }
    made["op"] = compare;
    arguments.push_back(std::move(made));
  }
  return arguments;
}

// errnoRet, when the action has one.
Status CopyErrno(const json::object& from, std::string_view name, json::object& to) {
  if (Find(from, name) == nullptr) return {};
  constexpr uint64_t kLastErrno = 4095;
  HULL_ASSIGN(to[name], Number(from, name, kLastErrno));
  return {};
}

// Adds the rule to `calls` if its conditions hold.
Status AddRule(const json::object& rule, uint64_t capabilities, json::array& calls) {
  HULL_ASSIGN(const bool is_excluded, Holds(rule, "excludes", When::kAny, capabilities));
  HULL_ASSIGN(const bool is_included, Holds(rule, "includes", When::kAll, capabilities));
  HULL_ASSIGN(std::vector<std::string> names, TextList(rule, "names"));
  HULL_ASSIGN(const std::string name, Text(rule, "name"));
  if (!name.empty() && !names.empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "'name' and 'names' were specified in the seccomp profile, use either 'name' or "
                "'names'");
  }
  if (!name.empty()) names.push_back(name);
  json::object call;
  HULL_ASSIGN(const std::string action, Text(rule, "action"));
  HULL_TRY(CheckAction(action));
  call["names"] = json::array(names.begin(), names.end());
  call["action"] = action;
  HULL_TRY(CopyErrno(rule, "errnoRet", call));
  HULL_ASSIGN(json::array arguments, Arguments(rule));
  if (!arguments.empty()) call["args"] = std::move(arguments);
  // A rule without a name says nothing.
  if (!is_excluded && is_included && !names.empty()) calls.push_back(std::move(call));
  return {};
}

Result<json::array> Architectures(const json::object& profile) {
  HULL_ASSIGN(std::vector<std::string> list, TextList(profile, "architectures"));
  const json::value* map = Find(profile, "archMap");
  if (map == nullptr) return json::array(list.begin(), list.end());
  if (!map->is_array()) return Bad("archMap is not a list");
  if (!list.empty() && !map->get_array().empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                "both 'architectures' and 'archMap' are specified in the seccomp profile, use "
                "either 'architectures' or 'archMap'");
  }
  for (const json::value& element : map->get_array()) {
    if (!element.is_object()) return Bad("archMap is not a list of objects");
    HULL_ASSIGN(const std::string architecture, Text(element.get_object(), "architecture"));
    HULL_ASSIGN(const std::vector<std::string> others,
                TextList(element.get_object(), "subArchitectures"));
    if (architecture != "SCMP_ARCH_X86_64") continue;
    list.push_back(architecture);
    list.insert(list.end(), others.begin(), others.end());
    break;
  }
  return json::array(list.begin(), list.end());
}

}  // namespace

Result<json::object> SeccompDocument(std::string_view profile, uint64_t capabilities) {
  json::error_code error;
  const json::value document =
      json::parse(json::string_view(profile.data(), profile.size()), error);
  if (error) return Bad("{}", error.message());
  if (!document.is_object()) return Bad("it is not an object");
  const json::object& object = document.get_object();
  HULL_ASSIGN(const std::string default_action, Text(object, "defaultAction"));
  const json::value* rules = Find(object, "syscalls");
  if (rules != nullptr && !rules->is_array()) return Bad("syscalls is not a list");
  json::object made;
  if (default_action.empty() && (rules == nullptr || rules->get_array().empty())) return made;
  HULL_TRY(CheckAction(default_action));
  made["defaultAction"] = default_action;
  HULL_TRY(CopyErrno(object, "defaultErrnoRet", made));
  HULL_ASSIGN(json::array architectures, Architectures(object));
  if (!architectures.empty()) made["architectures"] = std::move(architectures);
  HULL_ASSIGN(const std::vector<std::string> flags, TextList(object, "flags"));
  if (!flags.empty()) made["flags"] = json::array(flags.begin(), flags.end());
  json::array calls;
  if (rules != nullptr) {
    for (const json::value& rule : rules->get_array()) {
      if (!rule.is_object()) return Bad("syscalls is not a list of objects");
      HULL_TRY(AddRule(rule.get_object(), capabilities, calls));
    }
  }
  if (!calls.empty()) made["syscalls"] = std::move(calls);
  return made;
}

}  // namespace hull
