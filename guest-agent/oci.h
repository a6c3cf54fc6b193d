// OCI runtime configurations: what the agent reads from them and what it changes in them.
// Everything else goes to crun as it came.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/object.hpp>

#include "guest-agent/protocol/agent.pb.h"
#include "guest-agent/user.h"
#include "vmm/base/result.h"

namespace hull::agent {

// `text` must be one JSON object, at most 32 levels deep. kInvalidArgument begins with `what`.
Result<boost::json::object> ParseObject(std::string_view text, std::string_view what);

struct ProcessPatch {
  // process.user and, unless the environment has one, HOME. Nothing: process.user stands.
  std::optional<Identity> identity;
  // Added to process.user.additionalGids when there is no identity (which has them already).
  std::vector<uint32_t> additional_groups;
  bool terminal = false;
  // Of the terminal; 0 by 0 leaves it to crun.
  v1::TerminalSize size;
};

// kInvalidArgument when the process has no command or its fields have wrong types.
Status PatchProcess(boost::json::object& process, const ProcessPatch& patch);

// Adds HOME to process.env unless it is there already, or `home` is empty.
Status AddHome(boost::json::object& process, const std::string& home);

struct BindFile {
  std::string destination;  // in the container
  std::string source;       // in the guest
};

struct ConfigPatch {
  std::string rootfs;
  bool read_only = false;
  // Below the root of the cgroup tree, with a slash in front; used when the configuration names
  // none.
  std::string cgroup_path;
  // Bound into the container unless the configuration mounts something there itself.
  std::vector<BindFile> files;
};

// Everything but the process.
Status PatchConfig(boost::json::object& config, const ConfigPatch& patch);

// The process object of a configuration; kInvalidArgument when there is none.
Result<boost::json::object*> ProcessOf(boost::json::object& config);

// process.user's uid and gid, 0 when absent.
struct Owner {
  uint32_t uid = 0;
  uint32_t gid = 0;
};
Owner OwnerOf(const boost::json::object& process);

// config.hostname, or empty.
std::string HostnameOf(const boost::json::object& config);

// linux.cgroupsPath as PatchConfig left it.
std::string CgroupPathOf(const boost::json::object& config);

// Destinations of its mounts, each with a slash in front and none behind.
std::vector<std::string> MountPointsOf(const boost::json::object& config);

// Whether hooks.NAME has entries.
bool HasHooks(const boost::json::object& config, std::string_view name);

// The process of an Exec: fields of `wanted` over those of the container's own process. The command
// is never inherited.
boost::json::object MergeProcess(const boost::json::object& base,
                                 const boost::json::object& wanted);

// process.args[0], or empty.
std::string CommandOf(const boost::json::object& process);

}  // namespace hull::agent
