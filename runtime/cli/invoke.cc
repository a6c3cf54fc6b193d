#include "runtime/cli/invoke.h"

#include <unistd.h>

#include <algorithm>

#include <CLI/CLI.hpp>

#include "runtime/cli/arguments.h"
#include "runtime/cli/help.h"
#include "runtime/cli/option_text.h"
#include "runtime/cli/usage.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

// CLI11 speaks of errors in its own words; docker's are the known ones.
std::string Reword(const CLI::App& app, const CLI::Error& error) {
  const std::string text = error.what();
  // "Could not convert: --last = x"; of more than one value all are named.
  constexpr std::string_view kConvert = "Could not convert: ";
  const size_t equals = text.find(" = ");
  if (!text.starts_with(kConvert) || equals == std::string::npos) return text;
  const std::string name = text.substr(kConvert.size(), equals - kConvert.size());
  const CLI::Option* option = app.get_option_no_throw(name);
  return fmt::format("invalid argument \"{}\" for \"{}\" flag", text.substr(equals + 3),
                     option == nullptr ? name : FlagNames(*option));
}

// Words that stand for themselves even when they begin with a dash.
bool HasPositional(const CLI::App& app) {
  const std::vector<const CLI::Option*> options = app.get_options();
  return std::any_of(options.begin(), options.end(),
                     [](const CLI::Option* option) { return option->get_positional(); });
}

}  // namespace

int Invoke(const Command& command, const GlobalOptions& global, std::vector<std::string> words) {
  CLI::App app;
  PrepareApp(app);
  // Lives as long as the action, which may refer to it.
  GlobalOptions with_words = global;
  with_words.arguments = &words;
  const Action action = command.declare(app, with_words);
  SetRules(app);
  const bool has_short_help = app.get_option_no_throw("-h") == nullptr;
  bool help = false;
  app.add_flag(has_short_help ? "-h,--help" : "--help", help)->group("");
  const Result<SplitArguments> split =
      SplitCommandLine(app, words, command.passes_rest ? Mixed::kNo : Mixed::kYes);
  if (!split) return WrongFlag(command, split.error().message());
  std::vector<std::string> options = split->options;
  if (HasPositional(app)) {
    options.emplace_back("--");
    options.insert(options.end(), split->rest.begin(), split->rest.end());
  }
  // CLI11 takes the arguments last first.
  std::reverse(options.begin(), options.end());
  std::string wrong;
  bool is_wrong_count = false;
  try {
    app.parse(std::move(options));
  } catch (const CLI::ExtrasError&) {
    is_wrong_count = true;
  } catch (const CLI::RequiredError&) {
    is_wrong_count = true;
  } catch (const CLI::Error& error) {
    wrong = Reword(app, error);
  }
  // --help wins over whatever else is wrong; it may not have been parsed yet.
  if (help ||
      std::find(split->options.begin(), split->options.end(), "--help") != split->options.end()) {
    static_cast<void>(WriteAll(STDOUT_FILENO, CommandHelp(command)));
    return 0;
  }
  if (!wrong.empty()) return WrongFlag(command, wrong);
  const std::string wrong_count = CheckArgumentCount(command, split->rest.size());
  if (!wrong_count.empty()) return WrongArguments(command, wrong_count);
  if (is_wrong_count) return WrongFlag(command, "a flag that it needs is missing");
  return action(split->rest);
}

}  // namespace hull::cli
