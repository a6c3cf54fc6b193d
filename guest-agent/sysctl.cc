#include "guest-agent/sysctl.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <boost/json/value.hpp>

#include "vmm/base/escape.h"
#include "vmm/base/file.h"

namespace hull::agent {

namespace json = boost::json;

namespace {

constexpr size_t kMaxSysctls = 256;
constexpr size_t kMaxNameBytes = 255;
constexpr size_t kMaxValueBytes = 4095;  // a page, less its NUL: what the kernel takes

constexpr std::array<std::string_view, 8> kIpc = {
    "kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem",
    "kernel/shmall", "kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced"};
constexpr std::array<std::string_view, 6> kRunsPrograms = {
    "kernel/core_pattern", "kernel/modprobe",       "kernel/hotplug",
    "kernel/poweroff_cmd", "kernel/usermodehelper", "fs/binfmt_misc"};

// "net.ipv4.ip_forward" and "net/ipv4/ip_forward" alike (sysctl.d(5)): the first separator is the
// one between parts, the other is a character of a name.
Result<std::string> PathOf(const std::string& name) {
  std::string path = name;
  const size_t separator = path.find_first_of("./");
  if (separator != std::string::npos && path[separator] == '.') {
    for (char& c : path) c = c == '.' ? '/' : c == '/' ? '.' : c;
  }
  const bool characters = std::all_of(path.begin(), path.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/._-@:").find(c) != std::string_view::npos;
  });
  if (!characters || path.size() > kMaxNameBytes || separator == std::string::npos ||
      path.starts_with('/') || path.ends_with('/') || path.find("//") != std::string::npos ||
      fmt::format("/{}/", path).find("/../") != std::string::npos ||
      fmt::format("/{}/", path).find("/./") != std::string::npos) {
    return Fail(ErrorCode::kInvalidArgument, "sysctl '{}' is not a parameter's name",
                EscapeControl(name.substr(0, kMaxNameBytes)));
  }
  return path;
}

bool HasNamespace(const json::object& linux_part, std::string_view type) {
  const json::value* list = linux_part.if_contains("namespaces");
  if (list == nullptr || !list->is_array()) return false;
  return std::any_of(list->get_array().begin(), list->get_array().end(), [&](const json::value& v) {
    const json::value* found = v.is_object() ? v.get_object().if_contains("type") : nullptr;
    return found != nullptr && found->is_string() && found->get_string() == type;
  });
}

bool IsNamespaced(const json::object& linux_part, std::string_view path) {
  if (std::find(kIpc.begin(), kIpc.end(), path) != kIpc.end() || path.starts_with("fs/mqueue/")) {
    return HasNamespace(linux_part, "ipc");
  }
  if (path == "kernel/hostname" || path == "kernel/domainname") {
    return HasNamespace(linux_part, "uts");
  }
  return path.starts_with("net/") && HasNamespace(linux_part, "network");
}

bool RunsProgram(std::string_view path) {
  return std::any_of(kRunsPrograms.begin(), kRunsPrograms.end(), [&](std::string_view refused) {
    return path == refused || (path.starts_with(refused) && path.size() > refused.size() &&
                               path[refused.size()] == '/');
  });
}

}  // namespace

Result<std::vector<Sysctl>> TakeGuestSysctls(json::object& config) {
  std::vector<Sysctl> taken;
  json::value* linux_value = config.if_contains("linux");
  if (linux_value == nullptr || !linux_value->is_object()) return taken;
  json::object& linux_part = linux_value->get_object();
  json::value* wanted = linux_part.if_contains("sysctl");
  if (wanted == nullptr) return taken;
  if (!wanted->is_object() || wanted->get_object().size() > kMaxSysctls) {
    return Fail(ErrorCode::kInvalidArgument, "linux.sysctl: not an object of at most {}",
                kMaxSysctls);
  }
  json::object left;
  for (const auto& [key, value] : wanted->get_object()) {
    const std::string name(key);
    HULL_ASSIGN(const std::string path, PathOf(name));
    if (!value.is_string() || value.get_string().size() > kMaxValueBytes) {
      return Fail(ErrorCode::kInvalidArgument, "sysctl {}: not a value", name);
    }
    if (RunsProgram(path)) {
      return Fail(ErrorCode::kInvalidArgument,
                  "sysctl {}: refused, the kernel would run a program outside of the container",
                  name);
    }
    if (IsNamespaced(linux_part, path)) {
      left[key] = value;
    } else {
      taken.push_back({name, path, std::string(value.get_string())});
    }
  }
  linux_part["sysctl"] = std::move(left);
  return taken;
}

Status WriteSysctls(const std::vector<Sysctl>& sysctls, const std::string& directory) {
  for (const Sysctl& sysctl : sysctls) {
    const std::string path = directory + "/" + sysctl.path;
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    // Without a byte there is no write: an empty value is a line feed, which the kernel skips.
    const std::string value = sysctl.value.empty() ? "\n" : sysctl.value;
    if (file.valid() &&
        ::write(file.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size())) {
      continue;
    }
    const int error_number = errno;
    return Fail(ErrorCode::kInvalidArgument, "sysctl {}={}: {}", sysctl.name,
                EscapeControl(sysctl.value), std::strerror(error_number));
  }
  return {};
}

}  // namespace hull::agent
