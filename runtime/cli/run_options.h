// The flags of `hull run`, with docker's meaning.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "runtime/container_options.h"
#include "runtime/sandbox.h"
#include "vmm/base/result.h"

namespace hull::cli {

// As they stand on the command line.
struct RunFlags {
  bool remove = false;
  bool interactive = false;
  bool terminal = false;
  bool read_only = false;
  bool debug = false;
  std::string name;
  std::string hostname;
  std::string working_directory;
  std::string user;
  std::string entrypoint;
  std::string cpus;
  std::string virtual_cpus;
  std::string memory;
  std::string storage;
  std::string layers;
  std::string pull;
  std::vector<std::string> environment;
  const CLI::Option* entrypoint_option = nullptr;
};

enum class PullPolicy { kMissing, kAlways, kNever };

// What they mean.
struct RunRequest {
  std::string image;
  ContainerOptions container;
  StorageOptions storage;
  LayerTransport layer_transport = LayerTransport::kAutomatic;
  PullPolicy pull = PullPolicy::kMissing;
  bool debug = false;
};

void DeclareRunFlags(CLI::App& app, RunFlags& flags);

// `rest`: the image and what follows it. `host_variable` looks up a variable of hull's own
// environment (nullptr: not set), for -e NAME. Errors: kInvalidArgument.
using HostVariable = std::function<const char*(const char* name)>;
Result<RunRequest> InterpretRunFlags(const RunFlags& flags, const std::vector<std::string>& rest,
                                     const HostVariable& host_variable);

}  // namespace hull::cli
