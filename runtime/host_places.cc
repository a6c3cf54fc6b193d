#include "runtime/host_places.h"

#include <fmt/format.h>

#include <cstdlib>
#include <optional>

namespace hull {
namespace {

// An absolute directory that a variable names.
std::optional<std::string> DirectoryOf(const char* variable) {
  const char* value = std::getenv(variable);
  if (value == nullptr || *value != '/') return std::nullopt;
  return value;
}

}  // namespace

std::string StoreRootOf(uid_t user) {
  constexpr char kOfHost[] = "/var/lib/hull";
  if (user == 0) return kOfHost;
  if (const auto data = DirectoryOf("XDG_DATA_HOME")) return *data + "/hull";
  if (const auto home = DirectoryOf("HOME")) return *home + "/.local/share/hull";
  return kOfHost;
}
std::string RunRootOf(uid_t user) {
  if (user == 0) return "/run/hull";
  if (const auto runtime = DirectoryOf("XDG_RUNTIME_DIR")) return *runtime + "/hull";
  return fmt::format("/run/user/{}/hull", user);
}

}  // namespace hull
