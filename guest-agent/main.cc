// hull-agent: PID 1 of a hull guest.
//
// As PID 1 it takes no arguments (the kernel passes on what it does not know itself; that is
// ignored). For tests it runs beside other processes: hull-agent --listen-unix DIR --state DIR
// [--crun FILE]. As `hull-agent load-modules` it is a process that the agent starts
// (module_loader.h).
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string_view>

#include "guest-agent/agent.h"
#include "guest-agent/boot.h"
#include "guest-agent/devices/module_loader.h"
#include "guest-agent/kernel_log.h"

namespace {

constexpr char kUsage[] =
    "usage: hull-agent --listen-unix DIR --state DIR [--crun FILE] [--cgroup-root DIR]\n"
    "  [--archive FILE]\n"
    "hull-agent is PID 1 of a hull guest. Elsewhere it runs only with --listen-unix, for tests.\n";

bool ParseArguments(int argc, char** argv, hull::agent::AgentOptions* options) {
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return false;
    const std::string_view name = argv[i];
    if (name == "--listen-unix") {
      options->unix_directory = argv[i + 1];
    } else if (name == "--state") {
      options->state_directory = argv[i + 1];
    } else if (name == "--crun") {
      options->crun = argv[i + 1];
    } else if (name == "--cgroup-root") {
      options->cgroup_root = argv[i + 1];
    } else if (name == "--archive") {
      options->archive = argv[i + 1];
    } else {
      return false;
    }
  }
  return !options->unix_directory.empty();
}

}  // namespace

int main(int argc, char** argv) {
  if (::getpid() != 1 && argc > 1 && argv[1] == std::string_view("load-modules")) {
    return hull::agent::LoadModulesMain({argv + 2, argv + argc});
  }
  hull::agent::AgentOptions options;
  // The first process of a test's own PID namespace has arguments of ours; the kernel's are no
  // options.
  options.is_init = ::getpid() == 1 && !(argc > 1 && argv[1] == std::string_view("--listen-unix"));
  if (options.is_init) {
    hull::agent::SetUpSystem();
  } else if (!ParseArguments(argc, argv, &options)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  // A peer that goes away is an error of one write, not the end of PID 1.
  std::signal(SIGPIPE, SIG_IGN);

  hull::agent::Agent agent(options);
  if (hull::Status started = agent.Start(); !started) {
    hull::agent::LogError("start: {}", started.error().ToString());
    // As PID 1 this is the guest's end: the kernel panics, and the host shows the line above.
    return 1;
  }
  agent.Run();
  return 0;
}
