#include "runtime/oci_config.h"

#include <algorithm>
#include <optional>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "runtime/capabilities.h"
#include "runtime/oci_linux.h"
#include "runtime/resource_limit.h"

namespace hull {
namespace {

namespace json = boost::json;

constexpr std::string_view kDefaultPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
// As systemd and so current Docker have it: many programs walk all descriptors up to the soft
// limit.
constexpr int64_t kSoftOpenFiles = 1024;
constexpr int64_t kHardOpenFiles = 524'288;
constexpr size_t kShortIdLength = 12;

template <typename Range>
json::array StringArray(const Range& strings) {
  json::array array;
  array.reserve(std::size(strings));
  for (const auto& text : strings) array.emplace_back(json::string_view(text.data(), text.size()));
  return array;
}

std::string_view NameOf(std::string_view setting) {
  return setting.substr(0, setting.find('='));
}

void SetVariable(std::vector<std::string>& environment, std::string_view setting) {
  const std::string_view name = NameOf(setting);
  const auto found = std::find_if(environment.begin(), environment.end(),
                                  [&](const std::string& other) { return NameOf(other) == name; });
  if (name.size() == setting.size()) {  // no value: take it away
    if (found != environment.end()) environment.erase(found);
  } else if (found != environment.end()) {
    *found = std::string(setting);
  } else {
    environment.emplace_back(setting);
  }
}

json::object Capabilities(uint64_t mask) {
  const json::array names = StringArray(CapabilityNames(mask));
  json::object sets;
  sets["bounding"] = names;
  sets["effective"] = names;
  sets["permitted"] = names;
  return sets;
}

json::array ResourceLimits(const ContainerOptions& options) {
  std::vector<ResourceLimit> limits = {
      {.name = "nofile", .soft = kSoftOpenFiles, .hard = kHardOpenFiles}};
  for (const ResourceLimit& limit : options.limits.resources) SetResourceLimit(limits, limit);
  json::array array;
  for (const ResourceLimit& limit : limits) {
    // -1 as setrlimit(2) has it: the largest number.
    array.push_back(json::object{{"type", OciName(limit)},
                                 {"soft", static_cast<uint64_t>(limit.soft)},
                                 {"hard", static_cast<uint64_t>(limit.hard)}});
  }
  return array;
}

Status CheckWorkingDirectory(std::string_view directory) {
  if (directory.starts_with('/')) return {};
  return Fail(ErrorCode::kInvalidArgument,
              "the working directory '{}' is invalid, it needs to be an absolute path", directory);
}

Result<json::object> Process(const ImageProcess& image, const ContainerOptions& options,
                             uint64_t capabilities, std::string_view hostname) {
  HULL_ASSIGN(std::vector<std::string> arguments, CommandLine(image, options));
  if (options.init.value_or(false)) {
    arguments.insert(arguments.begin(), {std::string(kInitDestination), "--"});
  }
  const std::string directory = options.working_directory.value_or(
      image.working_directory.empty() ? "/" : image.working_directory);
  HULL_TRY(CheckWorkingDirectory(directory));
  json::object process;
  process["terminal"] = options.terminal;
  process["user"] = json::object{{"uid", 0}, {"gid", 0}};
  process["args"] = StringArray(arguments);
  process["env"] = StringArray(Environment(image, options, hostname));
  process["cwd"] = directory;
  process["capabilities"] = Capabilities(capabilities);
  process["rlimits"] = ResourceLimits(options);
  process["noNewPrivileges"] = options.security.no_new_privileges;
  process["oomScoreAdj"] = options.limits.oom_score_adjustment.value_or(0);
  return process;
}

}  // namespace

std::string HostnameOf(std::string_view container_id, const ContainerOptions& options) {
  if (!options.hostname.empty()) return options.hostname;
  return std::string(container_id.substr(0, kShortIdLength));
}

Result<std::vector<std::string>> CommandLine(const ImageProcess& image,
                                             const ContainerOptions& options) {
  std::vector<std::string> line;
  if (options.entrypoint) {
    // docker: an entry point of the user's own switches the image's command off; an empty one is
    // none.
    if (!options.entrypoint->empty()) line.push_back(*options.entrypoint);
  } else {
    line = image.entrypoint;
  }
  const bool use_image_command = options.command.empty() && !options.entrypoint;
  const std::vector<std::string>& rest = use_image_command ? image.command : options.command;
  line.insert(line.end(), rest.begin(), rest.end());
  if (line.empty()) {
    return Fail(Error(ErrorCode::kInvalidArgument, "no command specified")
                    .WithHint("the image names none: give one after the image's name"));
  }
  return line;
}

std::vector<std::string> Environment(const ImageProcess& image, const ContainerOptions& options,
                                     std::string_view hostname) {
  std::vector<std::string> environment{std::string(kDefaultPath),
                                       fmt::format("HOSTNAME={}", hostname)};
  if (options.terminal) environment.emplace_back("TERM=xterm");
  for (const std::string& setting : image.environment) SetVariable(environment, setting);
  for (const std::string& setting : options.environment) SetVariable(environment, setting);
  return environment;
}

Result<std::string> MakeOciConfig(std::string_view container_id, const ImageProcess& image,
                                  const ContainerOptions& options) {
  const std::string hostname = HostnameOf(container_id, options);
  HULL_ASSIGN(const uint64_t capabilities, ResolveCapabilities(options.security));
  json::object config;
  config["ociVersion"] = "1.0.2";
  HULL_ASSIGN(config["process"], Process(image, options, capabilities, hostname));
  config["root"] = json::object{{"path", "rootfs"}, {"readonly", options.read_only_root}};
  config["hostname"] = hostname;
  if (!options.domainname.empty()) config["domainname"] = options.domainname;
  HULL_ASSIGN(config["mounts"], Mounts(options));
  config["linux"] = LinuxSection(options);
  json::object annotations;
  for (const auto& [name, value] : options.annotations) annotations[name] = value;
  config["annotations"] = std::move(annotations);
  HULL_TRY(AddSeccomp(options.security, capabilities, config));
  return json::serialize(config);
}

}  // namespace hull
