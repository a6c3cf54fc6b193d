#include <unistd.h>

#include <algorithm>
#include <array>

#include "runtime/cli/command.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

constexpr std::array kCommands = {
    Command{"run", "Run a command in a new container in its own virtual machine",
            "[OPTIONS] IMAGE [COMMAND] [ARG...]", kExitHullFailed, true, DeclareRun},
    Command{"pull", "Get an image from a registry, a layout or an archive", "[OPTIONS] IMAGE",
            kExitFailed, false, DeclarePull},
    Command{"images", "List images", "[OPTIONS] [REPOSITORY[:TAG]]", kExitFailed, false,
            DeclareImages},
    Command{"rm", "Remove stopped containers", "CONTAINER [CONTAINER...]", kExitFailed, false,
            DeclareRm},
    Command{"check", "Say what this host can do, and what to change", "[OPTIONS]", kExitFailed,
            false, DeclareCheck},
    Command{"version", "Show the version", "", kExitFailed, false, DeclareVersion},
    Command{"help", "Explain hull or one of its commands", "[COMMAND]", kExitFailed, false,
            DeclareHelp},
};

constexpr size_t kNameColumn = 12;

}  // namespace

std::span<const Command> Commands() {
  return kCommands;
}

const Command* FindCommand(std::string_view name) {
  const auto* const found =
      std::find_if(kCommands.begin(), kCommands.end(),
                   [&](const Command& command) { return command.name == name; });
  return found == kCommands.end() ? nullptr : found;
}

void PrintError(const Error& error) {
  std::string text = fmt::format("hull: {}\n", error.ToString());
  if (!error.hint().empty()) text += fmt::format("hint: {}\n", error.hint());
  // Nothing is left to tell anyone when standard error fails.
  static_cast<void>(WriteAll(STDERR_FILENO, text));
}

std::string CommandHelp(const Command& command, const CLI::App& app) {
  std::string text = fmt::format("Usage: hull {} {}\n\n{}.\n\nOptions:\n", command.name,
                                 command.arguments, command.summary);
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;  // not for the help
    const std::string name = option->get_name(false, true);
    const std::string value =
        option->get_type_name().empty() || option->get_items_expected_max() == 0
            ? ""
            : " " + option->get_type_name();
    text += fmt::format("  {:<28}  {}\n", name + value, option->get_description());
  }
  return text;
}

std::string GeneralHelp() {
  std::string text =
      "Usage: hull [--root DIR] [--state DIR] COMMAND ...\n\n"
      "Runs each container inside its own small virtual machine.\n\nCommands:\n";
  for (const Command& command : kCommands) {
    text += fmt::format("  {:<{}}{}\n", command.name, kNameColumn, command.summary);
  }
  text +=
      "\nOptions:\n"
      "  --root DIR    where images and containers are kept (HULL_ROOT; /var/lib/hull)\n"
      "  --state DIR   where running sandboxes are (HULL_RUN; /run/hull)\n"
      "  --version     show the version\n\n"
      "hull COMMAND --help explains one command; hull check tells what this host lacks.\n";
  return text;
}

}  // namespace hull::cli
