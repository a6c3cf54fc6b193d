// The commands of `hull`: one description of each, from which come the help, the manual pages, the
// completions and what is said of wrong usage.
//
// To add a command: write its file with a `constinit const Command kName = {...}` at the end (copy
// ps.cc), name it twice in commands.cc, and its file in CMakeLists.txt.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/App.hpp>

#include "runtime/exit_codes.h"
#include "vmm/base/error.h"

namespace hull::cli {

// Of commands that run no container; also of a wrong number of arguments.
inline constexpr int kExitFailed = 1;
// Of a flag that there is none of, or that was given a wrong value.
inline constexpr int kExitWrongFlag = 125;
inline constexpr int kExitSignalBase = 128;

// Flags before the command.
struct GlobalOptions {
  std::string root;
  std::string state;
  // The words behind the command, for a declaration with so many options that it leaves out those
  // that cannot be meant. Null: somebody wants to read the whole description.
  const std::vector<std::string>* arguments = nullptr;
};

// What to do once the command line has been parsed; returns the exit code. `arguments`: the words
// that are no options, as many as Command::arguments asks for (those that the command declared on
// CLI11 as positional are given to both).
using Action = std::function<int(const std::vector<std::string>& arguments)>;

// Under which heading of the help.
enum class Group { kCommon, kContainers, kImages, kSystem };

// Which containers a completion offers for CONTAINER.
enum class Offered { kAll, kRunning, kPaused, kNotRunning };

struct Example {
  std::string_view command;  // "hull ps -a"
  std::string_view meaning;  // "List all containers, also those that have ended"
};

struct ExitCode {
  std::string_view code;     // "0", "128+n"
  std::string_view meaning;  // "success"
};

inline constexpr ExitCode kOrdinaryExitCodes[] = {
    {"0", "success"},
    {"1", "something could not be done, or the number of arguments is wrong"},
    {"125", "a flag is unknown or its value wrong"},
};
// Of commands that give the exit code of a container's process.
inline constexpr ExitCode kContainerExitCodes[] = {
    {"125", "hull itself failed"},
    {"126", "the command cannot be run in the container"},
    {"127", "the command is not in the container"},
    {"128+n", "signal n ended the process"},
    {"other", "what the process gave"},
};

// Everything that is known of a command without doing it. All texts are static.
struct Command {
  std::string_view name;  // "ps"; also two words: "container prune"
  Group group = Group::kContainers;
  // Docker's other ways to write it: "container ls, container list".
  std::string_view aliases = {};
  std::string_view summary;  // one line, no full stop
  // "[OPTIONS] IMAGE [COMMAND] [ARG...]". The number of arguments is checked against it, and the
  // completion goes by its words: CONTAINER, IMAGE, COMMAND (of hull), else files. More than one
  // line: more than one form, all with the same number of arguments.
  std::string_view arguments = {};
  // For help and manual: paragraphs of plain text with empty lines between them.
  std::string_view description = {};
  std::span<const Example> examples = {};
  std::span<const ExitCode> exit_codes = kOrdinaryExitCodes;
  // What is behind the first argument belongs to the container, options or not.
  bool passes_rest = false;
  Offered offered = Offered::kAll;
  // Declares the options on `app` and gives the action; called for the selected command only,
  // because declaring costs more than everything else that a short command does. It must do nothing
  // else: the manual and the completions call it for every command.
  //
  // CLI11's type_name of an option says what it takes, and what its completion offers: FILE, DIR,
  // CONTAINER, IMAGE, or words to choose from as in "missing|always|never"; any other is only
  // shown. An option in the group "" is shown nowhere. Options are taken the last time they are
  // given, lists every time.
  Action (*declare)(CLI::App& app, const GlobalOptions& global);
};

// In the order in which the help shows them.
std::span<const Command* const> Commands();

struct FoundCommand {
  const Command* command = nullptr;  // nullptr: there is none
  size_t words = 0;                  // how many of the words are its name
};
// The command that the first one or two of `words` name, by its name or another of docker's.
FoundCommand FindCommand(std::span<const std::string> words);

// Two-word names start with one of these: "container".
struct Family {
  std::string_view name;
  std::string_view summary;
};
std::span<const Family> Families();
const Family* FindFamily(std::string_view name);

// Each of Command::aliases.
std::vector<std::string_view> AliasesOf(const Command& command);

// "hull: <error>" and what can be done about it, on standard error.
void PrintError(const Error& error);

}  // namespace hull::cli
