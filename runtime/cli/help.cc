#include "runtime/cli/help.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include <CLI/CLI.hpp>

#include "runtime/cli/option_text.h"
#include "runtime/cli/usage.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

constexpr size_t kNameColumn = 18;
constexpr size_t kWidth = 80;
// Of options; longer ones have their text in the next line.
constexpr size_t kWidestOption = 30;

std::string Entry(std::string_view name, std::string_view summary) {
  return fmt::format("  {:<{}}{}\n", name, kNameColumn - 2, summary);
}

std::string OptionEntries(const Command& command) {
  const std::vector<OptionText> options = OptionsOf(command);
  std::vector<std::string> names;
  size_t widest = 0;
  for (const OptionText& option : options) {
    std::string name = option.letter == '\0' ? "    " : fmt::format("-{}", option.letter);
    if (option.letter != '\0' && !option.name.empty()) name += ", ";
    if (!option.name.empty()) name += "--" + option.name;
    if (!option.value.empty()) name += " " + option.value;
    if (name.size() <= kWidestOption) widest = std::max(widest, name.size());
    names.push_back(std::move(name));
  }
  const size_t column = widest + 5;
  std::string text;
  for (size_t i = 0; i < options.size(); ++i) {
    text += fmt::format("  {:<{}}", names[i], column - 2);
    if (names[i].size() > widest) text += "\n" + std::string(column, ' ');
    text += Wrap(options[i].description, column, kWidth) + "\n";
  }
  return text;
}

std::string Paragraphs(std::string_view description) {
  std::string text;
  constexpr std::string_view kBetween = "\n\n";
  while (!description.empty()) {
    const size_t end = description.find(kBetween);
    text += Wrap(description.substr(0, end), 0, kWidth) + "\n\n";
    description.remove_prefix(end == std::string_view::npos ? description.size()
                                                            : end + kBetween.size());
  }
  return text;
}

std::string Names(const Command& command) {
  std::string text = fmt::format("hull {}", command.name);
  for (const std::string_view alias : AliasesOf(command)) text += fmt::format(", hull {}", alias);
  return text;
}

int Help(const std::vector<std::string>& words) {
  std::string text = GeneralHelp();
  if (!words.empty()) {
    const FoundCommand found = FindCommand(words);
    const Family* family = FindFamily(words.front());
    if (found.command != nullptr && found.words == words.size()) {
      text = CommandHelp(*found.command);
    } else if (family != nullptr && words.size() == 1) {
      text = FamilyHelp(*family);
    } else {
      return UnknownCommand(words);
    }
  }
  return WriteAll(STDOUT_FILENO, text) ? 0 : kExitFailed;
}

Action DeclareHelp(CLI::App&, const GlobalOptions&) {
  return Help;
}

}  // namespace

std::string_view GroupHeading(Group group) {
  constexpr std::array<std::string_view, 4> kHeadings = {"Common Commands", "Container Commands",
                                                         "Image Commands", "System Commands"};
  return kHeadings[static_cast<size_t>(group)];
}

std::vector<std::pair<std::string, const Command*>> CommandsOf(const Family& family) {
  std::vector<std::pair<std::string, const Command*>> found;
  const std::string start = fmt::format("{} ", family.name);
  for (const Command* command : Commands()) {
    std::vector<std::string_view> names = AliasesOf(*command);
    names.insert(names.begin(), command->name);
    // One way to write it is enough: the first.
    const auto named = std::find_if(names.begin(), names.end(),
                                    [&](std::string_view name) { return name.starts_with(start); });
    if (named != names.end()) found.emplace_back(named->substr(start.size()), command);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string UsageLines(const Command& command) {
  std::string text;
  std::string_view rest = command.arguments;
  do {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    text += fmt::format("{}hull {}{}{}\n", text.empty() ? "Usage:  " : "        ", command.name,
                        line.empty() ? "" : " ", line);
  } while (!rest.empty());
  return text;
}

std::string CommandHelp(const Command& command) {
  std::string text = fmt::format("{}\n{}\n\n", UsageLines(command), command.summary);
  text += Paragraphs(command.description);
  if (!command.aliases.empty()) {
    text += fmt::format("Aliases:\n  {}\n\n", Wrap(Names(command), 2, kWidth));
  }
  const std::string options = OptionEntries(command);
  if (!options.empty()) text += fmt::format("Options:\n{}\n", options);
  if (!command.examples.empty()) text += "Examples:\n";
  for (const Example& example : command.examples) {
    text += fmt::format("  {}\n      {}\n", example.command, Wrap(example.meaning, 6, kWidth));
  }
  if (!command.examples.empty()) text += "\n";
  text += "Exit codes:\n";
  for (const ExitCode& code : command.exit_codes) {
    text += fmt::format("  {:<7}{}\n", code.code, code.meaning);
  }
  return text;
}

std::string FamilyHelp(const Family& family) {
  std::string text =
      fmt::format("Usage:  hull {} COMMAND\n\n{}\n\nCommands:\n", family.name, family.summary);
  for (const auto& [name, command] : CommandsOf(family)) text += Entry(name, command->summary);
  return text + fmt::format("\nRun 'hull {} COMMAND --help' for more information on a command.\n",
                            family.name);
}

std::string GeneralHelp() {
  std::string text =
      "Usage:  hull [--root DIR] [--state DIR] COMMAND\n\n"
      "Runs each container inside its own small virtual machine\n";
  for (const Group group : kGroups) {
    text += fmt::format("\n{}:\n", GroupHeading(group));
    for (const Command* command : Commands()) {
      // Those of two words are in the help of their family, as in docker's.
      const bool is_one_word = command->name.find(' ') == std::string_view::npos;
      if (command->group == group && is_one_word) text += Entry(command->name, command->summary);
    }
  }
  text += "\nManagement Commands:\n";
  for (const Family& family : Families()) text += Entry(family.name, family.summary);
  return text +
         "\nOptions:\n"
         "      --root DIR    Where images and containers are kept (HULL_ROOT; /var/lib/hull,\n"
         "                    or ~/.local/share/hull of one who is not root)\n"
         "      --state DIR   Where running sandboxes are (HULL_RUN; /run/hull, or\n"
         "                    $XDG_RUNTIME_DIR/hull)\n"
         "  -v, --version     Show the version\n\n"
         "Run 'hull COMMAND --help' for more information on a command;\n"
         "'hull check' tells what this host lacks.\n";
}

std::string Wrap(std::string_view text, size_t indent, size_t width) {
  std::string wrapped;
  size_t column = indent;
  while (!text.empty()) {
    const size_t end = text.find_first_of(" \n");
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (word.empty()) continue;
    if (!wrapped.empty() && column + 1 + word.size() > width) {
      wrapped += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (!wrapped.empty()) {
      wrapped += ' ';
      ++column;
    }
    wrapped += word;
    column += word.size();
  }
  return wrapped;
}

extern const Command kHelp;
constinit const Command kHelp = {
    .name = "help",
    .group = Group::kSystem,
    .summary = "Explain hull or one of its commands",
    .arguments = "[COMMAND...]",
    .declare = DeclareHelp,
};

}  // namespace hull::cli
