// --filter name=value, given any number of times.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace hull::cli {

class Filters {
 public:
  Filters() = default;

  // kInvalidArgument, in docker's words: a word without "=", a name that is not `known`.
  static Result<Filters> Parse(const std::vector<std::string>& words,
                               std::initializer_list<std::string_view> known) {
    Filters filters;
    for (const std::string& word : words) {
      const size_t equals = word.find('=');
      if (equals == std::string::npos) {
        return Fail(ErrorCode::kInvalidArgument,
                    "invalid argument \"{}\" for \"-f, --filter\" flag: bad format of filter "
                    "(expected name=value)",
                    word);
      }
      const std::string name = word.substr(0, equals);
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        return Fail(ErrorCode::kInvalidArgument, "invalid filter '{}'", name);
      }
      filters.values_[name].push_back(word.substr(equals + 1));
    }
    return filters;
  }

  bool Has(const std::string& name) const { return values_.contains(name); }
  const std::vector<std::string>& Values(const std::string& name) const {
    static const std::vector<std::string> kNone;
    const auto found = values_.find(name);
    return found == values_.end() ? kNone : found->second;
  }

  // Whether `test` is true of one (of all) of the values; without any it is.
  template <typename Test>
  bool AnyOf(const std::string& name, Test test) const {
    const std::vector<std::string>& values = Values(name);
    return values.empty() || std::any_of(values.begin(), values.end(), test);
  }
  template <typename Test>
  bool AllOf(const std::string& name, Test test) const {
    const std::vector<std::string>& values = Values(name);
    return std::all_of(values.begin(), values.end(), test);
  }

 private:
  std::map<std::string, std::vector<std::string>> values_;
};

}  // namespace hull::cli
