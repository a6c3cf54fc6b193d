// hull: the command line. Parses the flags before the command, then hands over to the command
// alone.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "runtime/cli/arguments.h"
#include "runtime/cli/command.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"

namespace hull::cli {
namespace {

void Print(int fd, std::string_view text) {
  static_cast<void>(WriteAll(fd, text));
}

int UsageError(std::string_view message, std::string_view see, int exit_code) {
  Print(STDERR_FILENO, fmt::format("hull: {}\nSee '{}'.\n", message, see));
  return exit_code;
}

// CLI11 speaks of errors in its own words; docker's are the known ones.
std::string Reword(const CLI::Error& error) {
  const std::string text = error.what();
  constexpr std::string_view kMissing = ": 1 required ";
  if (const size_t at = text.find(kMissing); at != std::string::npos) {
    return fmt::format("flag needs an argument: {}", text.substr(0, at));
  }
  return text;
}

int RunCommand(const Command& command, const GlobalOptions& global,
               std::vector<std::string> arguments) {
  CLI::App app;
  app.set_help_flag();
  bool help = false;
  // Without -h: in `run` that is docker's --hostname.
  app.add_flag("--help", help, "Show this help");
  const Action action = command.declare(app, global);
  const std::string see = fmt::format("hull {} --help", command.name);
  std::vector<std::string> rest;
  if (command.passes_rest) {
    Result<SplitArguments> split = SplitCommandLine(app, arguments);
    if (!split) return UsageError(split.error().message(), see, command.usage_exit_code);
    arguments = std::move(split->options);
    rest = std::move(split->rest);
  }
  // CLI11 takes the arguments last first.
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ExtrasError&) {
    const std::vector<std::string> extra = app.remaining();
    const std::string first = extra.empty() ? std::string() : extra.front();
    return UsageError(first.starts_with('-') ? fmt::format("unknown flag: {}", first)
                                             : fmt::format("unexpected argument: {}", first),
                      see, command.usage_exit_code);
  } catch (const CLI::Error& error) {
    // --help wins over whatever is missing beside it.
    if (!help) return UsageError(Reword(error), see, command.usage_exit_code);
  }
  if (help) {
    Print(STDOUT_FILENO, CommandHelp(command, app));
    return 0;
  }
  return action(rest);
}

// "--name VALUE" or "--name=VALUE" at `index`; moves index to its last word.
bool TakeGlobal(int argc, char** argv, int& index, std::string_view name, std::string& value) {
  const std::string_view word(argv[index]);
  if (word == name && index + 1 < argc) {
    value = argv[++index];
    return true;
  }
  if (!word.starts_with(name) || word.substr(name.size(), 1) != "=") return false;
  value = std::string(word.substr(name.size() + 1));
  return true;
}

// With one of the three standard descriptors closed, the next file opened would be taken for it.
void OpenStandardDescriptors() {
  int fd = 0;
  do {
    fd = open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

int Main(int argc, char** argv) {
  OpenStandardDescriptors();
  log::Start("hull", log::Level::kWarn);
  // A closed pipe is an error of one write, not the end of hull and its virtual machine.
  signal(SIGPIPE, SIG_IGN);
  GlobalOptions global;
  int index = 1;
  for (; index < argc && argv[index][0] == '-'; ++index) {
    const std::string_view word(argv[index]);
    if (word == "--help" || word == "-h") {
      Print(STDOUT_FILENO, GeneralHelp());
      return 0;
    }
    if (word == "--version" || word == "-v") return RunCommand(*FindCommand("version"), global, {});
    if (TakeGlobal(argc, argv, index, "--root", global.root)) continue;
    if (TakeGlobal(argc, argv, index, "--state", global.state)) continue;
    return UsageError(fmt::format("unknown flag: {}", word), "hull --help", kExitHullFailed);
  }
  if (index >= argc) {
    Print(STDERR_FILENO, GeneralHelp());
    return kExitFailed;
  }
  const Command* command = FindCommand(argv[index]);
  if (command == nullptr) {
    return UsageError(fmt::format("'{}' is not a hull command", argv[index]), "hull --help",
                      kExitFailed);
  }
  return RunCommand(*command, global, std::vector<std::string>(argv + index + 1, argv + argc));
}

}  // namespace
}  // namespace hull::cli

int main(int argc, char** argv) {
  const int exit_code = hull::cli::Main(argc, argv);
  // Threads may still be blocked reading the user's input; nothing of theirs is worth waiting for.
  _exit(exit_code);
}
