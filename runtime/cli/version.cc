#include <unistd.h>

#include "runtime/cli/command.h"
#include "vmm/base/file.h"

namespace hull::cli {

Action DeclareVersion(CLI::App&, const GlobalOptions&) {
  return [](const std::vector<std::string>&) {
    static_cast<void>(WriteAll(STDOUT_FILENO, "hull version " HULL_VERSION "\n"));
    return 0;
  };
}

}  // namespace hull::cli
