#include "guest-agent/devices/registered_numbers.h"

#include <dirent.h>
#include <fmt/format.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <memory>

#include "vmm/base/file.h"

namespace hull::agent {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{1} << 20;
constexpr std::string_view kVirtual = "/devices/virtual/";

void ReadNumbers(const std::string& sysfs, const std::string& kind,
                 std::set<std::string>* numbers) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(
      ::opendir(fmt::format("{}/dev/{}", sysfs, kind).c_str()), ::closedir);
  while (const dirent* entry = stream ? ::readdir(stream.get()) : nullptr) {
    if (entry->d_name[0] != '.') numbers->insert(fmt::format("{}/{}", kind, entry->d_name));
  }
}

// The device of "char/10:200"; the kernel's link is "../../devices/virtual/misc/x".
std::string PathOf(const std::string& sysfs, const std::string& number) {
  char target[PATH_MAX];
  const ssize_t size =
      ::readlink(fmt::format("{}/dev/{}", sysfs, number).c_str(), target, sizeof(target));
  if (size <= 0 || size == sizeof(target)) return {};
  const std::string_view text(target, static_cast<size_t>(size));
  const size_t begin = text.find(kVirtual);
  return begin == std::string_view::npos ? std::string() : std::string(text.substr(begin));
}

}  // namespace

std::set<DeviceKind> ParseDeviceKinds(std::string_view text) {
  std::set<DeviceKind> kinds;
  bool block = false;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.starts_with("Block devices")) block = true;
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    uint32_t major = 0;
    const auto [end, failed] = std::from_chars(line.data(), line.data() + line.size(), major);
    if (failed == std::errc() && end != line.data()) kinds.emplace(block, major);
  }
  return kinds;
}

RegisteredNumbers RegisteredNumbers::Read(const std::string& sysfs, const std::string& proc) {
  RegisteredNumbers numbers;
  if (const Result<std::string> text = ReadFile(proc + "/devices", kMaxTextBytes)) {
    numbers.kinds = ParseDeviceKinds(*text);
  }
  for (const char* kind : {"char", "block"}) ReadNumbers(sysfs, kind, &numbers.devices);
  return numbers;
}

Brought Compare(const RegisteredNumbers& before, const RegisteredNumbers& after,
                const std::string& sysfs) {
  Brought brought;
  std::set_difference(after.kinds.begin(), after.kinds.end(), before.kinds.begin(),
                      before.kinds.end(), std::inserter(brought.kinds, brought.kinds.end()));
  for (const std::string& number : after.devices) {
    if (before.devices.contains(number)) continue;
    if (std::string path = PathOf(sysfs, number); !path.empty()) brought.paths.insert(path);
  }
  return brought;
}

}  // namespace hull::agent
