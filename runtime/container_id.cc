#include "runtime/container_id.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace hull {
namespace {

bool IsAlphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

constexpr size_t kMaxNameLength = 128;
constexpr size_t kMaxHostnameLength = 63;

}  // namespace

Result<std::string> NewContainerId() {
  std::string id;
  do {
    std::array<uint8_t, kContainerIdLength / 2> bytes{};
    if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
      return FailErrno("get random bytes");
    }
    id.clear();
    for (const uint8_t byte : bytes) {
      id += "0123456789abcdef"[byte >> 4U];
      id += "0123456789abcdef"[byte & 0xfU];
    }
  } while (std::all_of(id.begin(), id.begin() + kShortIdLength, IsDigit));
  return id;
}

bool IsContainerId(std::string_view text) {
  return text.size() == kContainerIdLength && std::all_of(text.begin(), text.end(), [](char c) {
           return IsDigit(c) || (c >= 'a' && c <= 'f');
         });
}

std::string_view WithoutSlash(std::string_view name) {
  return name.starts_with('/') ? name.substr(1) : name;
}

Status CheckContainerName(std::string_view name) {
  const bool good =
      name.size() >= 2 && name.size() <= kMaxNameLength && IsAlphanumeric(name.front()) &&
      std::all_of(name.begin(), name.end(),
                  [](char c) { return IsAlphanumeric(c) || c == '_' || c == '.' || c == '-'; });
  if (good) return {};
  return Fail(ErrorCode::kInvalidArgument,
              "Invalid container name ({}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name);
}

Status CheckHostname(std::string_view hostname) {
  const bool good = !hostname.empty() && hostname.size() <= kMaxHostnameLength &&
                    IsAlphanumeric(hostname.front()) && IsAlphanumeric(hostname.back()) &&
                    std::all_of(hostname.begin(), hostname.end(), [](char c) {
                      return IsAlphanumeric(c) || c == '.' || c == '-' || c == '_';
                    });
  if (good) return {};
  return Fail(ErrorCode::kInvalidArgument, "invalid hostname: {}", hostname);
}

}  // namespace hull
