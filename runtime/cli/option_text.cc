#include "runtime/cli/option_text.h"

#include <algorithm>

#include <CLI/CLI.hpp>

namespace hull::cli {
namespace {

bool IsList(const CLI::Option& option) {
  return option.get_items_expected_max() > 1;
}

// CLI11's names of C++ types, as people say them.
std::string ValueName(const CLI::Option& option) {
  if (option.get_items_expected_max() == 0) return {};
  std::string name = option.get_type_name();
  constexpr std::string_view kDots = " ...";
  if (name.ends_with(kDots)) name.resize(name.size() - kDots.size());
  if (name == "TEXT") return "STRING";
  if (name == "INT" || name == "UINT" || name == "FLOAT") return "NUMBER";
  if (name == "BOOLEAN") return "true|false";
  return name;
}

}  // namespace

std::vector<OptionText> OptionsOf(const Command& command) {
  CLI::App app;
  PrepareApp(app);
  const Action unused = command.declare(app, GlobalOptions());
  std::vector<OptionText> texts;
  const CLI::App& declared = app;
  for (const CLI::Option* option : declared.get_options()) {
    if (option->get_group().empty() || option->get_positional()) continue;
    OptionText text;
    if (!option->get_snames().empty()) text.letter = option->get_snames().front().front();
    if (!option->get_lnames().empty()) text.name = option->get_lnames().front();
    text.value = ValueName(*option);
    text.description = option->get_description();
    text.repeats = IsList(*option);
    texts.push_back(std::move(text));
  }
  const auto key = [](const OptionText& text) {
    return text.name.empty() ? std::string(1, text.letter) : text.name;
  };
  std::sort(texts.begin(), texts.end(),
            [&](const OptionText& a, const OptionText& b) { return key(a) < key(b); });
  return texts;
}

std::string FlagNames(const CLI::Option& option) {
  std::string names;
  for (const std::string& letter : option.get_snames()) names += fmt::format("-{}, ", letter);
  for (const std::string& name : option.get_lnames()) names += fmt::format("--{}, ", name);
  return names.substr(0, names.size() - std::min<size_t>(names.size(), 2));
}

void PrepareApp(CLI::App& app) {
  app.set_help_flag();
}

void SetRules(CLI::App& app) {
  for (CLI::Option* option : app.get_options([](CLI::Option*) { return true; })) {
    if (option->get_positional()) continue;
    if (!IsList(*option)) option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    // "-e A B" is one value and an argument; "[a,b]" is one value.
    option->allow_extra_args(false);
  }
}

}  // namespace hull::cli
