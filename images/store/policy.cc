#include "images/store/policy.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "vmm/base/file.h"

namespace hull::images {
namespace {

namespace json = boost::json;

constexpr uint64_t kPolicyBytes = uint64_t{1} << 20;
constexpr char kHostPolicy[] = "/etc/containers/policy.json";
constexpr char kUserPolicy[] = "/.config/containers/policy.json";

// A list of requirements, all of which must be met.
bool IsAcceptAnything(const json::value& requirements) {
  const json::array* list = requirements.if_array();
  if (list == nullptr || list->empty()) return false;
  return std::all_of(list->begin(), list->end(), [](const json::value& requirement) {
    const json::object* object = requirement.if_object();
    const json::value* type = object == nullptr ? nullptr : object->if_contains("type");
    return type != nullptr && type->is_string() && type->get_string() == "insecureAcceptAnything";
  });
}

}  // namespace

bool AcceptsAnything(std::string_view text) {
  boost::system::error_code error;
  const json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  const json::object* policy = error ? nullptr : value.if_object();
  const json::value* by_default = policy == nullptr ? nullptr : policy->if_contains("default");
  if (by_default == nullptr || !IsAcceptAnything(*by_default)) return false;
  const json::value* transports = policy->if_contains("transports");
  if (transports == nullptr) return true;
  if (!transports->is_object()) return false;
  for (const auto& [transport, scopes] : transports->get_object()) {
    if (!scopes.is_object()) return false;
    for (const auto& [scope, requirements] : scopes.get_object()) {
      if (!IsAcceptAnything(requirements)) return false;
    }
  }
  return true;
}

bool HostAcceptsAnything(const std::string& file) {
  std::vector<std::string> candidates = {file};
  if (file.empty()) {
    candidates = {kHostPolicy};
    if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
      candidates.insert(candidates.begin(), home + std::string(kUserPolicy));
    }
  }
  for (const std::string& candidate : candidates) {
    const Result<std::string> text = ReadFile(candidate, kPolicyBytes);
    if (text) return AcceptsAnything(*text);
    if (text.error().code() != ErrorCode::kNotFound || !file.empty()) return false;
  }
  return true;
}

}  // namespace hull::images
