// hull-vmm: makes and runs one virtual machine.
#include <unistd.h>

#include <cstdio>
#include <string>

#include "vmm/api/outcome.h"
#include "vmm/api/vm_config.h"
#include "vmm/base/file.h"
#include "vmm/base/log.h"
#include "vmm/machine/options.h"
#include "vmm/machine/supervisor.h"

namespace hull {
namespace {

constexpr const char kVersion[] = HULL_VERSION;

Result<api::VmConfig> LoadConfig(const std::string& path) {
  const std::string file = path == "-" ? "/dev/stdin" : path;
  HULL_ASSIGN_WITHIN("configuration", const std::string text, ReadFile(file, api::kMaxConfigBytes));
  HULL_ASSIGN_WITHIN(path == "-" ? "configuration" : path, api::VmConfig config,
                     api::ParseVmConfig(text));
  return config;
}

int FailStart(const Error& error, int status_fd) {
  log::Error("{}", error.ToString());
  if (!error.hint().empty()) log::Error("{}", error.hint());
  std::string message = error.ToString();
  if (!error.hint().empty()) message += " (" + error.hint() + ")";
  if (status_fd >= 0) {
    const api::Outcome outcome = {.cause = api::Cause::kStart, .message = message, .console = {}};
    // Who was to read it may be gone; the log has it.
    static_cast<void>(WriteAll(status_fd, api::EndedLine(outcome)));
  }
  return api::ExitCode(api::Cause::kStart);
}

int Run(const Options& options) {
  Result<api::VmConfig> config = LoadConfig(options.config_path);
  if (!config) return FailStart(config.error(), options.status_fd);
  if (options.action == Options::Action::kCheck) return 0;
  Result<std::unique_ptr<Supervisor>> supervisor = Supervisor::Create(*config, options.status_fd);
  if (!supervisor) {
    return FailStart(std::move(supervisor).error().Within(config->name), options.status_fd);
  }
  const api::Outcome outcome = (*supervisor)->Run();
  const bool wanted = api::ExitCode(outcome.cause) == 0 || outcome.cause == api::Cause::kKilled;
  if (wanted) {
    log::Info("{}: {}", config->name, outcome.message);
  } else {
    log::Error("{}: {}", config->name, outcome.message);
  }
  return api::ExitCode(outcome.cause);
}

int Main(std::span<char* const> arguments) {
  log::Start("hull-vmm", log::Level::kWarn);
  const Result<Options> options = ParseOptions(arguments);
  if (!options) {
    log::Error("{} (see --help)", options.error().ToString());
    return api::ExitCode(api::Cause::kStart);
  }
  log::Start("hull-vmm", options->log_level);
  switch (options->action) {
    case Options::Action::kHelp:
      std::fputs(kUsage, stdout);
      return 0;
    case Options::Action::kVersion:
      std::printf("hull-vmm %s\n", kVersion);
      return 0;
    case Options::Action::kRun:
    case Options::Action::kCheck:
      break;
  }
  return Run(*options);
}

}  // namespace
}  // namespace hull

int main(int argc, char** argv) {
  return hull::Main(std::span(argv, static_cast<size_t>(argc)).subspan(argc > 0 ? 1 : 0));
}
