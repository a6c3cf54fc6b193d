#include <unistd.h>

#include "runtime/cli/command.h"
#include "vmm/base/file.h"

namespace hull::cli {
namespace {

Action DeclareVersion(CLI::App&, const GlobalOptions&) {
  return [](const std::vector<std::string>&) {
    return WriteAll(STDOUT_FILENO, "hull version " HULL_VERSION "\n") ? 0 : kExitFailed;
  };
}

}  // namespace

extern const Command kVersion;
constinit const Command kVersion = {
    .name = "version",
    .group = Group::kSystem,
    .summary = "Show the version",
    .arguments = "[OPTIONS]",
    .declare = DeclareVersion,
};

}  // namespace hull::cli
