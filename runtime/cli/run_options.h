// The flags of `hull run` and `hull create`, with docker's meaning: one declaration for both.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "runtime/container_options.h"
#include "vmm/base/result.h"

namespace hull::cli {

enum class RunVerb { kRun, kCreate };

// What was declared, for reading after the parsing; no longer than the CLI::App lives.
struct RunFlags {
  RunVerb verb = RunVerb::kRun;
  // By row of RunFlagTable(); null: not declared, so not given either.
  std::vector<const CLI::Option*> options = {};
};

enum class PullPolicy { kMissing, kAlways, kNever };

// What they mean. Everything that outlives the command is in `container`; the rest is the
// command's own.
struct RunRequest {
  std::string image;
  ContainerOptions container;
  PullPolicy pull = PullPolicy::kMissing;
  std::string platform;  // "linux/amd64"; empty: this host's
  // Say nothing while pulling.
  bool quiet = false;
  bool detach = false;
  std::string detach_keys;  // "ctrl-p,ctrl-q"; empty: the default
  // Hand signals on to the container's process.
  bool signal_proxy = true;
  // Where to write the container's id (cidfile.h). Empty: nowhere.
  std::string cidfile;
};

// `arguments`: the words of the command line, so that only what can be meant is declared, for CLI11
// compares each option with each; null: everything, for help, manual and completion.
void DeclareRunFlags(CLI::App& app, RunFlags& flags, RunVerb verb,
                     const std::vector<std::string>* arguments);

// `rest`: the image and what follows it. `host_variable` looks up a variable of hull's own
// environment (nullptr: not set), for -e NAME and --env-file. Reads the files that are named
// (variables, labels, seccomp profile). Errors: kInvalidArgument, in docker's words; kUnsupported:
// docker has the flag, hull does not, and why.
using HostVariable = std::function<const char*(const char* name)>;
Result<RunRequest> InterpretRunFlags(const RunFlags& flags, const std::vector<std::string>& rest,
                                     const HostVariable& host_variable);

}  // namespace hull::cli
