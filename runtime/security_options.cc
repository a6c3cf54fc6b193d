#include "runtime/security_options.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "vmm/base/escape.h"

namespace hull {
namespace {

std::vector<std::string> SplitPaths(std::string_view text) {
  std::vector<std::string> paths;
  while (!text.empty()) {
    const size_t colon = text.find(':');
    if (colon != 0) paths.emplace_back(text.substr(0, colon));
    text = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  }
  return paths;
}

Status ApplySeccomp(const std::string& value, const ProfileReader& read,
                    SecurityOptions& security) {
  security.seccomp_profile.clear();
  security.seccomp = SeccompChoice::kDefault;
  if (value == "unconfined") security.seccomp = SeccompChoice::kUnconfined;
  if (value == "unconfined" || value == "builtin" || value == "default") return {};
  Result<std::string> text = read(value);
  if (!text) {
    return Fail(std::move(text).error().Within(
        fmt::format("opening seccomp profile ({}) failed", EscapeControl(value))));
  }
  boost::json::error_code error;
  const boost::json::value document = boost::json::parse(*text, error);
  if (error) {
    return Fail(ErrorCode::kInvalidArgument, "compacting json for seccomp profile ({}) failed: {}",
                EscapeControl(value), error.message());
  }
  security.seccomp = SeccompChoice::kProfile;
  security.seccomp_profile = boost::json::serialize(document);
  return {};
}

Status ApplyNoNewPrivileges(const std::string& value, std::string_view option,
                            SecurityOptions& security) {
  if (value.empty() || value == "true" || value == "1" || value == "t" || value == "T" ||
      value == "TRUE" || value == "True") {
    security.no_new_privileges = true;
  } else if (value == "false" || value == "0" || value == "f" || value == "F" || value == "FALSE" ||
             value == "False") {
    security.no_new_privileges = false;
  } else {
    return Fail(ErrorCode::kInvalidArgument, "invalid --security-opt 2: \"{}\"",
                EscapeControl(option));
  }
  return {};
}

Status ApplyOne(const std::string& name, const std::string& value, std::string_view option,
                const ProfileReader& read, SecurityOptions& security) {
  if (name == "seccomp") return ApplySeccomp(value, read, security);
  if (name == "no-new-privileges") return ApplyNoNewPrivileges(value, option, security);
  if (name == "apparmor") {
    if (value == "unconfined") return {};
    return Fail(ErrorCode::kUnsupported,
                "--security-opt apparmor={}: the guest's kernel has no AppArmor",
                EscapeControl(value));
  }
  if (name == "label") {
    if (value == "disable") return {};
    return Fail(ErrorCode::kUnsupported,
                "--security-opt label={}: the guest's kernel has no SELinux", EscapeControl(value));
  }
  if (name == "systempaths") {
    if (value != "unconfined") {
      return Fail(ErrorCode::kInvalidArgument, "invalid --security-opt 2: \"{}\"",
                  EscapeControl(option));
    }
    security.system_paths_unconfined = true;
    return {};
  }
  if (name == "mask" || name == "unmask") {
    const std::vector<std::string> paths = SplitPaths(value);
    for (const std::string& path : paths) {
      if (path.starts_with('/') || (name == "unmask" && path == "ALL")) continue;
      return Fail(ErrorCode::kInvalidArgument,
                  "invalid --security-opt 2: \"{}\": a path begins with /", EscapeControl(option));
    }
    std::vector<std::string>& list =
        name == "mask" ? security.masked_paths : security.unmasked_paths;
    list.insert(list.end(), paths.begin(), paths.end());
    return {};
  }
  return Fail(ErrorCode::kInvalidArgument, "invalid --security-opt 2: \"{}\"",
              EscapeControl(option));
}

}  // namespace

Status ApplySecurityOptions(const std::vector<std::string>& options, const ProfileReader& read,
                            SecurityOptions& security) {
  for (const std::string& option : options) {
    size_t separator = option.find('=');
    const bool alone = option == "no-new-privileges";
    // docker's old way to write it.
    if (separator == std::string::npos) separator = option.find(':');
    if (!alone && (separator == std::string::npos || separator + 1 == option.size())) {
      return Fail(ErrorCode::kInvalidArgument, "invalid --security-opt: \"{}\"",
                  EscapeControl(option));
    }
    const std::string name = option.substr(0, separator);
    const std::string value = alone ? std::string() : option.substr(separator + 1);
    HULL_TRY(ApplyOne(name, value, option, read, security));
    // docker shows a profile's text, not its file's name.
    security.shown.push_back(name == "seccomp" && security.seccomp == SeccompChoice::kProfile
                                 ? "seccomp=" + security.seccomp_profile
                                 : option);
  }
  return {};
}

}  // namespace hull
