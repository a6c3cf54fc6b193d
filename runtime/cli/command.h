// One command of `hull`: a name, what the help says, and the two halves of doing it. The table in
// commands.cc lists them all; help, and later manual pages and completion, come from these
// descriptions.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/App.hpp>

#include "vmm/base/error.h"

namespace hull::cli {

// Docker's: hull itself failed, the command cannot be run, is not there.
inline constexpr int kExitHullFailed = 125;
inline constexpr int kExitCannotRun = 126;
inline constexpr int kExitNotFound = 127;
// Of commands that run no container.
inline constexpr int kExitFailed = 1;
inline constexpr int kExitSignalBase = 128;

// Flags before the command.
struct GlobalOptions {
  std::string root;
  std::string state;
};

// What to do once the command line has been parsed; returns the exit code. `rest`: for commands
// that pass it on, the first argument that is no option and all behind it.
using Action = std::function<int(const std::vector<std::string>& rest)>;

struct Command {
  std::string_view name;
  std::string_view summary;    // one line, no full stop
  std::string_view arguments;  // "[OPTIONS] IMAGE [COMMAND] [ARG...]"
  // Exit code for a command line that is wrong.
  int usage_exit_code;
  // What is behind the first argument that is no option belongs to the container, options or not.
  bool passes_rest;
  // Declares the options on `app` and gives the action; called for the selected command only,
  // because declaring costs more than everything else that a short command does.
  Action (*declare)(CLI::App& app, const GlobalOptions& global);
};

// In the order in which the help shows them.
std::span<const Command> Commands();
// nullptr: there is none of that name.
const Command* FindCommand(std::string_view name);

Action DeclareRun(CLI::App& app, const GlobalOptions& global);
Action DeclarePull(CLI::App& app, const GlobalOptions& global);
Action DeclareImages(CLI::App& app, const GlobalOptions& global);
Action DeclareRm(CLI::App& app, const GlobalOptions& global);
Action DeclareCheck(CLI::App& app, const GlobalOptions& global);
Action DeclareVersion(CLI::App& app, const GlobalOptions& global);
Action DeclareHelp(CLI::App& app, const GlobalOptions& global);

// "hull: <error>" and what can be done about it, on standard error.
void PrintError(const Error& error);

// The help of one command, or of hull.
std::string CommandHelp(const Command& command, const CLI::App& app);
std::string GeneralHelp();

}  // namespace hull::cli
