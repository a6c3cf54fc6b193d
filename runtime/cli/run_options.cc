#include "runtime/cli/run_options.h"

#include "runtime/cli/units.h"
#include "runtime/container_id.h"

namespace hull::cli {
namespace {

constexpr uint64_t kNanoPerCpu = 1'000'000'000;

Result<StorageOptions> ParseStorage(std::string_view text) {
  StorageOptions storage;
  if (text.empty()) return storage;
  const size_t equals = text.find('=');
  const std::string_view kind = text.substr(0, equals);
  if (kind == "tmpfs") {
    storage.kind = StorageKind::kTmpfs;
  } else if (kind != "disk") {
    return Fail(ErrorCode::kInvalidArgument, "--storage: '{}' is neither disk nor tmpfs", kind);
  }
  if (equals == std::string_view::npos) return storage;
  HULL_ASSIGN_WITHIN("--storage", storage.size_bytes, ParseBytes(text.substr(equals + 1)));
  if (storage.size_bytes < kMinScratchBytes) {
    return Fail(ErrorCode::kInvalidArgument, "--storage: at least {} MiB", kMinScratchBytes >> 20U);
  }
  return storage;
}

Result<LayerTransport> ParseLayers(std::string_view text) {
  if (text.empty() || text == "auto") return LayerTransport::kAutomatic;
  if (text == "pmem") return LayerTransport::kPmem;
  if (text == "block") return LayerTransport::kBlock;
  return Fail(ErrorCode::kInvalidArgument, "--layers: '{}' is none of auto, pmem and block", text);
}

Result<PullPolicy> ParsePull(std::string_view text) {
  if (text.empty() || text == "missing") return PullPolicy::kMissing;
  if (text == "always") return PullPolicy::kAlways;
  if (text == "never") return PullPolicy::kNever;
  return Fail(ErrorCode::kInvalidArgument,
              "invalid pull option: '{}': must be one of \"always\", \"missing\" or \"never\"",
              text);
}

// "NAME=value" stays; "NAME" takes hull's own value, or takes the image's away when hull has none.
Result<std::vector<std::string>> ResolveEnvironment(const std::vector<std::string>& settings,
                                                    const HostVariable& host_variable) {
  std::vector<std::string> environment;
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (setting.empty() || equals == 0) {
      return Fail(ErrorCode::kInvalidArgument, "invalid environment variable: {}", setting);
    }
    const char* value = equals == std::string::npos ? host_variable(setting.c_str()) : nullptr;
    environment.push_back(value == nullptr ? setting : fmt::format("{}={}", setting, value));
  }
  return environment;
}

}  // namespace

void DeclareRunFlags(CLI::App& app, RunFlags& flags) {
  app.add_flag("--rm", flags.remove, "Remove the container when it exits");
  app.add_flag("-i,--interactive", flags.interactive, "Keep standard input open");
  app.add_flag("-t,--tty", flags.terminal, "Give the container a terminal");
  app.add_option("--name", flags.name, "Name of the container")->type_name("NAME");
  app.add_option("-e,--env", flags.environment, "Set a variable, or pass on one of your own")
      ->type_name("NAME[=VALUE]")
      ->allow_extra_args(false);
  app.add_option("-w,--workdir", flags.working_directory, "Working directory in the container")
      ->type_name("DIR");
  app.add_option("-u,--user", flags.user, "User to run as")->type_name("USER[:GROUP]");
  flags.entrypoint_option =
      app.add_option("--entrypoint", flags.entrypoint, "Instead of the image's entry point")
          ->type_name("PROGRAM");
  app.add_option("--cpus", flags.cpus, "Limit of CPU time; rounded up, the number of virtual CPUs")
      ->type_name("NUMBER");
  app.add_option("--vcpus", flags.virtual_cpus, "Virtual CPUs, when --cpus is not to decide")
      ->type_name("NUMBER");
  app.add_option("-m,--memory", flags.memory, "Limit of memory")->type_name("SIZE");
  app.add_flag("--read-only", flags.read_only, "Mount the container's root read-only");
  app.add_option("-h,--hostname", flags.hostname, "Host name in the container")->type_name("NAME");
  app.add_option("--pull", flags.pull, "When to pull the image: missing, always or never")
      ->type_name("POLICY");
  app.add_option("--storage", flags.storage, "Where changes go: disk[=SIZE] or tmpfs[=SIZE]")
      ->type_name("KIND");
  app.add_flag("--debug", flags.debug, "Show the phases of the start and the guest's console");
  app.add_option("--layers", flags.layers, "How layers reach the guest: auto, pmem or block")
      ->group("");
}

Result<RunRequest> InterpretRunFlags(const RunFlags& flags, const std::vector<std::string>& rest,
                                     const HostVariable& host_variable) {
  if (rest.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "'hull run' requires at least 1 argument");
  }
  RunRequest request;
  request.image = rest.front();
  request.debug = flags.debug;
  HULL_ASSIGN(request.storage, ParseStorage(flags.storage));
  HULL_ASSIGN(request.layer_transport, ParseLayers(flags.layers));
  HULL_ASSIGN(request.pull, ParsePull(flags.pull));

  ContainerOptions& container = request.container;
  container.command.assign(rest.begin() + 1, rest.end());
  container.interactive = flags.interactive;
  container.terminal = flags.terminal;
  container.read_only_root = flags.read_only;
  container.remove_at_exit = flags.remove;
  if (!flags.name.empty()) {
    HULL_TRY(CheckContainerName(flags.name));
    container.name = flags.name;
  }
  if (!flags.hostname.empty()) {
    HULL_TRY(CheckHostname(flags.hostname));
    container.hostname = flags.hostname;
  }
  HULL_ASSIGN(container.environment, ResolveEnvironment(flags.environment, host_variable));
  if (flags.entrypoint_option != nullptr && flags.entrypoint_option->count() > 0) {
    container.entrypoint = flags.entrypoint;
  }
  if (!flags.working_directory.empty()) container.working_directory = flags.working_directory;
  if (!flags.user.empty()) container.user = flags.user;
  if (!flags.cpus.empty()) {
    HULL_ASSIGN_WITHIN("--cpus", const uint64_t nano, ParseNanoCpus(flags.cpus));
    if (nano != 0) container.nano_cpus = nano;  // docker: 0 is no limit
  }
  if (!flags.virtual_cpus.empty()) {
    HULL_ASSIGN_WITHIN("--vcpus", const uint64_t nano, ParseNanoCpus(flags.virtual_cpus));
    if (nano % kNanoPerCpu != 0) {
      return Fail(ErrorCode::kInvalidArgument, "--vcpus: '{}' is not a whole number",
                  flags.virtual_cpus);
    }
    container.virtual_cpus = nano / kNanoPerCpu;
  }
  if (!flags.memory.empty()) {
    HULL_ASSIGN_WITHIN("--memory", const uint64_t bytes, ParseBytes(flags.memory));
    if (bytes != 0) container.memory_bytes = bytes;
  }
  return request;
}

}  // namespace hull::cli
