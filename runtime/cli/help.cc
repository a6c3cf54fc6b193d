#include <unistd.h>

#include <memory>

#include <CLI/CLI.hpp>

#include "runtime/cli/command.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

int Help(const std::string& name) {
  std::string text = GeneralHelp();
  if (!name.empty()) {
    const Command* command = FindCommand(name);
    if (command == nullptr) {
      PrintError(MakeError(ErrorCode::kNotFound, "'{}' is not a hull command", name));
      return kExitFailed;
    }
    CLI::App app;
    app.set_help_flag();
    const Action unused = command->declare(app, GlobalOptions());
    text = CommandHelp(*command, app);
  }
  static_cast<void>(WriteAll(STDOUT_FILENO, text));
  return 0;
}

}  // namespace

Action DeclareHelp(CLI::App& app, const GlobalOptions&) {
  const auto name = std::make_shared<std::string>();
  app.add_option("COMMAND", *name, "What to explain");
  return [name](const std::vector<std::string>&) { return Help(*name); };
}

}  // namespace hull::cli
