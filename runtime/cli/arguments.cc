#include "runtime/cli/arguments.h"

#include <CLI/CLI.hpp>

namespace hull::cli {
namespace {

bool TakesValue(const CLI::Option& option) {
  return option.get_items_expected_max() != 0;
}

// How an option word goes on.
enum class Next { kOption, kValue };

Result<Next> LongOption(const CLI::App& app, const std::string& word,
                        std::vector<std::string>& options) {
  const size_t equals = word.find('=');
  const std::string name = word.substr(0, equals);
  const CLI::Option* option = app.get_option_no_throw(name);
  if (option == nullptr) return Fail(ErrorCode::kInvalidArgument, "unknown flag: {}", name);
  if (equals != std::string::npos && equals + 1 == word.size() && TakesValue(*option)) {
    options.push_back(name);
    options.emplace_back();
    return Next::kOption;
  }
  options.push_back(word);
  return equals == std::string::npos && TakesValue(*option) ? Next::kValue : Next::kOption;
}

// "-it", "-eNAME=value", "-e".
Result<Next> ShortOptions(const CLI::App& app, const std::string& word,
                          std::vector<std::string>& options) {
  options.push_back(word);
  for (size_t i = 1; i < word.size(); ++i) {
    const CLI::Option* option = app.get_option_no_throw(std::string("-") + word[i]);
    if (option == nullptr) {
      return Fail(ErrorCode::kInvalidArgument, "unknown shorthand flag: '{}' in {}", word[i], word);
    }
    if (TakesValue(*option)) return i + 1 == word.size() ? Next::kValue : Next::kOption;
  }
  return Next::kOption;
}

}  // namespace

Result<SplitArguments> SplitCommandLine(const CLI::App& app,
                                        const std::vector<std::string>& arguments) {
  SplitArguments split;
  auto next = arguments.begin();
  while (next != arguments.end() && next->size() > 1 && next->front() == '-') {
    const std::string& word = *next++;
    if (word == "--") break;
    HULL_ASSIGN(const Next follows, word[1] == '-' ? LongOption(app, word, split.options)
                                                   : ShortOptions(app, word, split.options));
    if (follows == Next::kOption) continue;
    if (next == arguments.end()) {
      return Fail(ErrorCode::kInvalidArgument, "flag needs an argument: {}", word);
    }
    split.options.push_back(*next++);
  }
  split.rest.assign(next, arguments.end());
  return split;
}

}  // namespace hull::cli
