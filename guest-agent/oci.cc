#include "guest-agent/oci.h"

#include <algorithm>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "vmm/base/escape.h"

namespace hull::agent {

namespace json = boost::json;

namespace {

// The object at `key`, made if it is not there; null when something else is there.
json::object* ObjectAt(json::object& parent, std::string_view key) {
  json::value& value = parent[key];
  if (value.is_null()) value.emplace_object();
  return value.if_object();
}

const json::value* Find(const json::object& parent, std::string_view key) {
  return parent.if_contains(key);
}

std::string StringAt(const json::object& parent, std::string_view key) {
  const json::value* value = Find(parent, key);
  if (value == nullptr || !value->is_string()) return {};
  return std::string(value->get_string());
}

uint32_t NumberAt(const json::object& parent, std::string_view key) {
  const json::value* value = Find(parent, key);
  if (value == nullptr) return 0;
  boost::system::error_code failed;
  const auto number = value->to_number<uint32_t>(failed);
  return failed ? 0 : number;
}

Status CheckCommand(const json::object& process) {
  const json::value* args = Find(process, "args");
  if (args == nullptr || !args->is_array() || args->get_array().empty()) {
    return Fail(ErrorCode::kInvalidArgument, "process.args: no command");
  }
  for (const json::value& arg : args->get_array()) {
    if (!arg.is_string()) return Fail(ErrorCode::kInvalidArgument, "process.args: not all strings");
  }
  return {};
}

bool HasVariable(const json::array& environment, std::string_view name) {
  return std::any_of(environment.begin(), environment.end(), [&](const json::value& entry) {
    if (!entry.is_string()) return false;
    const std::string_view text = entry.get_string();
    return text.starts_with(name) && text.size() > name.size() && text[name.size()] == '=';
  });
}

Status SetIdentity(json::object& process, const Identity& identity) {
  json::object* user = ObjectAt(process, "user");
  if (user == nullptr) return Fail(ErrorCode::kInvalidArgument, "process.user: not an object");
  (*user)["uid"] = identity.uid;
  (*user)["gid"] = identity.gid;
  (*user)["additionalGids"] = json::array(identity.groups.begin(), identity.groups.end());
  return AddHome(process, identity.home);
}

Status AddGroups(json::object& process, const std::vector<uint32_t>& groups) {
  json::object* user = ObjectAt(process, "user");
  if (user == nullptr) return Fail(ErrorCode::kInvalidArgument, "process.user: not an object");
  json::value& list = (*user)["additionalGids"];
  if (list.is_null()) list.emplace_array();
  if (!list.is_array()) {
    return Fail(ErrorCode::kInvalidArgument, "process.user.additionalGids: not an array");
  }
  for (const uint32_t group : groups) list.get_array().emplace_back(group);
  return {};
}

// A mount on `destination`, however its path is written.
bool HasMount(const json::array& mounts, std::string_view destination) {
  return std::any_of(mounts.begin(), mounts.end(), [&](const json::value& mount) {
    if (!mount.is_object()) return false;
    std::string path = StringAt(mount.get_object(), "destination");
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    return path == destination;
  });
}

Status CheckCgroupPath(std::string_view path) {
  size_t begin = 0;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (path.substr(begin, end - begin) == "..") {
      return Fail(ErrorCode::kInvalidArgument, "linux.cgroupsPath: '{}' leads outside",
                  EscapeControl(path));
    }
    begin = end + 1;
  }
  return {};
}

}  // namespace

Result<json::object> ParseObject(std::string_view text, std::string_view what) {
  json::error_code failed;
  json::value value = json::parse(text, failed);
  if (failed) {
    return Fail(ErrorCode::kInvalidArgument, "{}: not JSON: {}", what, failed.message());
  }
  if (!value.is_object()) return Fail(ErrorCode::kInvalidArgument, "{}: not a JSON object", what);
  return std::move(value.get_object());
}

Status AddHome(json::object& process, const std::string& home) {
  if (home.empty()) return {};
  json::value& environment = process["env"];
  if (environment.is_null()) environment.emplace_array();
  if (!environment.is_array())
    return Fail(ErrorCode::kInvalidArgument, "process.env: not an array");
  if (!HasVariable(environment.get_array(), "HOME")) {
    environment.get_array().emplace_back(fmt::format("HOME={}", home));
  }
  return {};
}

Status PatchProcess(json::object& process, const ProcessPatch& patch) {
  HULL_TRY(CheckCommand(process));
  if (patch.identity) {
    HULL_TRY(SetIdentity(process, *patch.identity));
  } else if (!patch.additional_groups.empty()) {
    HULL_TRY(AddGroups(process, patch.additional_groups));
  }
  process["terminal"] = patch.terminal;
  process.erase("consoleSize");
  if (patch.terminal && patch.size.columns() > 0 && patch.size.rows() > 0) {
    process["consoleSize"] = {{"width", patch.size.columns()}, {"height", patch.size.rows()}};
  }
  return {};
}

Status PatchConfig(json::object& config, const ConfigPatch& patch) {
  json::object* root = ObjectAt(config, "root");
  if (root == nullptr) return Fail(ErrorCode::kInvalidArgument, "root: not an object");
  (*root)["path"] = patch.rootfs;
  if (patch.read_only) (*root)["readonly"] = true;
  const json::value* readonly = Find(*root, "readonly");
  const bool is_readonly = readonly != nullptr && readonly->is_bool() && readonly->get_bool();

  json::object* linux_part = ObjectAt(config, "linux");
  if (linux_part == nullptr) return Fail(ErrorCode::kInvalidArgument, "linux: not an object");
  std::string cgroup_path = StringAt(*linux_part, "cgroupsPath");
  HULL_TRY(CheckCgroupPath(cgroup_path));
  if (cgroup_path.empty()) {
    cgroup_path = patch.cgroup_path;
  } else if (cgroup_path.front() != '/') {
    cgroup_path = fmt::format("/{}", cgroup_path);
  }
  (*linux_part)["cgroupsPath"] = cgroup_path;

  json::value& mounts = config["mounts"];
  if (mounts.is_null()) mounts.emplace_array();
  if (!mounts.is_array()) return Fail(ErrorCode::kInvalidArgument, "mounts: not an array");
  for (const BindFile& file : patch.files) {
    if (HasMount(mounts.get_array(), file.destination)) continue;
    // As docker does it: with a read-only root these are read-only too.
    mounts.get_array().push_back({{"destination", file.destination},
                                  {"type", "bind"},
                                  {"source", file.source},
                                  {"options", {"rbind", "rprivate", is_readonly ? "ro" : "rw"}}});
  }
  return {};
}

Result<json::object*> ProcessOf(json::object& config) {
  json::value* process = config.if_contains("process");
  if (process == nullptr || !process->is_object()) {
    return Fail(ErrorCode::kInvalidArgument, "oci_config: no process");
  }
  return &process->get_object();
}

Owner OwnerOf(const json::object& process) {
  const json::value* user = Find(process, "user");
  if (user == nullptr || !user->is_object()) return {};
  return {.uid = NumberAt(user->get_object(), "uid"), .gid = NumberAt(user->get_object(), "gid")};
}

std::string HostnameOf(const json::object& config) {
  return StringAt(config, "hostname");
}

std::string CgroupPathOf(const json::object& config) {
  const json::value* linux_part = Find(config, "linux");
  if (linux_part == nullptr || !linux_part->is_object()) return {};
  return StringAt(linux_part->get_object(), "cgroupsPath");
}

std::vector<std::string> MountPointsOf(const json::object& config) {
  std::vector<std::string> points;
  const json::value* mounts = Find(config, "mounts");
  if (mounts == nullptr || !mounts->is_array()) return points;
  for (const json::value& mount : mounts->get_array()) {
    if (!mount.is_object()) continue;
    std::string path = StringAt(mount.get_object(), "destination");
    if (!path.starts_with('/')) path.insert(0, 1, '/');
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    points.push_back(std::move(path));
  }
  return points;
}

bool HasHooks(const json::object& config, std::string_view name) {
  const json::value* hooks = Find(config, "hooks");
  if (hooks == nullptr || !hooks->is_object()) return false;
  const json::value* list = Find(hooks->get_object(), name);
  return list != nullptr && list->is_array() && !list->get_array().empty();
}

json::object MergeProcess(const json::object& base, const json::object& wanted) {
  json::object merged = base;
  merged.erase("args");
  for (const auto& [key, value] : wanted) merged[key] = value;
  return merged;
}

std::string CommandOf(const json::object& process) {
  const json::value* args = Find(process, "args");
  if (args == nullptr || !args->is_array() || args->get_array().empty()) return {};
  const json::value& first = args->get_array().front();
  return first.is_string() ? std::string(first.get_string()) : std::string();
}

}  // namespace hull::agent
