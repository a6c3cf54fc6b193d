#include "runtime/cli/arguments.h"

#include <CLI/CLI.hpp>

namespace hull::cli {
namespace {

bool TakesValue(const CLI::Option& option) {
  return option.get_items_expected_max() != 0;
}

using Words = std::vector<std::string>;

// Goes over the words of one command line.
class Splitter {
 public:
  Splitter(const CLI::App& app, const Words& arguments)
      : app_(app), next_(arguments.begin()), end_(arguments.end()) {}

  Result<SplitArguments> Split(Mixed mixed) {
    for (; next_ != end_; ++next_) {
      const bool is_option = next_->size() > 1 && next_->front() == '-';
      if (is_option && *next_ != "--") {
        HULL_TRY((*next_)[1] == '-' ? LongOption(*next_) : ShortOptions(*next_));
        continue;
      }
      if (is_option || mixed == Mixed::kNo) {
        split_.rest.insert(split_.rest.end(), is_option ? next_ + 1 : next_, end_);
        break;
      }
      split_.rest.push_back(*next_);
    }
    return std::move(split_);
  }

 private:
  Status LongOption(const std::string& word) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const CLI::Option* option = app_.get_option_no_throw(name);
    if (option == nullptr || name.size() < 3) {
      return Fail(ErrorCode::kInvalidArgument, "unknown flag: {}", name);
    }
    if (equals != std::string::npos) {
      Add(*option, word.substr(equals + 1));
    } else if (!TakesValue(*option)) {
      split_.options.push_back(name);
    } else if (next_ + 1 == end_) {
      return Fail(ErrorCode::kInvalidArgument, "flag needs an argument: {}", name);
    } else {
      Add(*option, *++next_);
    }
    return {};
  }

  // "-it", "-eNAME=value", "-e", "-a=false".
  Status ShortOptions(const std::string& word) {
    for (size_t i = 1; i < word.size(); ++i) {
      const CLI::Option* option = app_.get_option_no_throw(std::string("-") + word[i]);
      if (option == nullptr) {
        return Fail(ErrorCode::kInvalidArgument, "unknown shorthand flag: '{}' in -{}", word[i],
                    word.substr(i));
      }
      const std::string behind = word.substr(i + 1);
      if (behind.starts_with('=')) {
        Add(*option, behind.substr(1));
        return {};
      }
      if (!TakesValue(*option)) {
        split_.options.push_back(std::string("-") + word[i]);
        continue;
      }
      if (behind.empty() && next_ + 1 == end_) {
        return Fail(ErrorCode::kInvalidArgument, "flag needs an argument: '{}' in {}", word[i],
                    word);
      }
      Add(*option, behind.empty() ? *++next_ : behind);
      return {};
    }
    return {};
  }

  void Add(const CLI::Option& option, const std::string& value) {
    const bool is_long = !option.get_lnames().empty();
    const std::string name =
        is_long ? "--" + option.get_lnames().front() : "-" + option.get_snames().front();
    if (value.empty()) {
      split_.options.push_back(name);
      if (TakesValue(option)) split_.options.emplace_back();
    } else {
      split_.options.push_back(is_long ? name + "=" + value : name + value);
    }
  }

  const CLI::App& app_;
  Words::const_iterator next_;
  Words::const_iterator end_;
  SplitArguments split_;
};

}  // namespace

Result<SplitArguments> SplitCommandLine(const CLI::App& app,
                                        const std::vector<std::string>& arguments, Mixed mixed) {
  return Splitter(app, arguments).Split(mixed);
}

}  // namespace hull::cli
