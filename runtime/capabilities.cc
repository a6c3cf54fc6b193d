#include "runtime/capabilities.h"

#include <linux/capability.h>

#include <algorithm>
#include <cctype>

#include "runtime/container_options.h"
#include "runtime/default_capabilities.h"
#include "vmm/base/escape.h"

namespace hull {
namespace {

constexpr std::string_view kAll = "ALL";

// By number.
constexpr std::string_view kNames[] = {"CAP_CHOWN",
                                       "CAP_DAC_OVERRIDE",
                                       "CAP_DAC_READ_SEARCH",
                                       "CAP_FOWNER",
                                       "CAP_FSETID",
                                       "CAP_KILL",
                                       "CAP_SETGID",
                                       "CAP_SETUID",
                                       "CAP_SETPCAP",
                                       "CAP_LINUX_IMMUTABLE",
                                       "CAP_NET_BIND_SERVICE",
                                       "CAP_NET_BROADCAST",
                                       "CAP_NET_ADMIN",
                                       "CAP_NET_RAW",
                                       "CAP_IPC_LOCK",
                                       "CAP_IPC_OWNER",
                                       "CAP_SYS_MODULE",
                                       "CAP_SYS_RAWIO",
                                       "CAP_SYS_CHROOT",
                                       "CAP_SYS_PTRACE",
                                       "CAP_SYS_PACCT",
                                       "CAP_SYS_ADMIN",
                                       "CAP_SYS_BOOT",
                                       "CAP_SYS_NICE",
                                       "CAP_SYS_RESOURCE",
                                       "CAP_SYS_TIME",
                                       "CAP_SYS_TTY_CONFIG",
                                       "CAP_MKNOD",
                                       "CAP_LEASE",
                                       "CAP_AUDIT_WRITE",
                                       "CAP_AUDIT_CONTROL",
                                       "CAP_SETFCAP",
                                       "CAP_MAC_OVERRIDE",
                                       "CAP_MAC_ADMIN",
                                       "CAP_SYSLOG",
                                       "CAP_WAKE_ALARM",
                                       "CAP_BLOCK_SUSPEND",
                                       "CAP_AUDIT_READ",
                                       "CAP_PERFMON",
                                       "CAP_BPF",
                                       "CAP_CHECKPOINT_RESTORE"};
static_assert(std::size(kNames) == CAP_LAST_CAP + 1);
static_assert(kNames[CAP_NET_ADMIN] == "CAP_NET_ADMIN" && kNames[CAP_SYSLOG] == "CAP_SYSLOG" &&
              kNames[CAP_CHECKPOINT_RESTORE] == "CAP_CHECKPOINT_RESTORE");

uint64_t Bit(std::string_view name) {
  return uint64_t{1} << static_cast<unsigned>(CapabilityNumber(name));
}

bool Contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

uint64_t MaskOf(const std::vector<std::string>& names) {
  uint64_t mask = 0;
  for (const std::string& name : names) {
    if (name != kAll) mask |= Bit(name);
  }
  return mask;
}

}  // namespace

uint64_t AllCapabilities() {
  return (uint64_t{1} << std::size(kNames)) - 1;
}

std::string_view CapabilityName(int number) {
  if (number < 0 || static_cast<size_t>(number) >= std::size(kNames)) return {};
  return kNames[number];
}

int CapabilityNumber(std::string_view name) {
  const auto* const found = std::find(std::begin(kNames), std::end(kNames), name);
  return found == std::end(kNames) ? -1 : static_cast<int>(found - std::begin(kNames));
}

std::vector<std::string_view> CapabilityNames(uint64_t mask) {
  std::vector<std::string_view> names;
  for (size_t number = 0; number < std::size(kNames); ++number) {
    if ((mask >> number & 1U) != 0) names.push_back(kNames[number]);
  }
  return names;
}

Result<std::vector<std::string>> NormalizeCapabilities(const std::vector<std::string>& names) {
  std::vector<std::string> normal;
  for (const std::string& name : names) {
    std::string upper = name;
    std::transform(upper.begin(), upper.end(), upper.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    if (upper != kAll && !upper.starts_with("CAP_")) upper.insert(0, "CAP_");
    if (upper != kAll && CapabilityNumber(upper) < 0) {
      return Fail(ErrorCode::kInvalidArgument, "unknown capability: \"{}\"", EscapeControl(upper));
    }
    normal.push_back(std::move(upper));
  }
  return normal;
}

Result<uint64_t> ResolveCapabilities(const SecurityOptions& security) {
  HULL_ASSIGN(const std::vector<std::string> added,
              NormalizeCapabilities(security.added_capabilities));
  HULL_ASSIGN(const std::vector<std::string> dropped,
              NormalizeCapabilities(security.dropped_capabilities));
  if (security.privileged) return AllCapabilities();
  if (Contains(added, kAll)) return AllCapabilities() & ~MaskOf(dropped);
  if (Contains(dropped, kAll)) return MaskOf(added);
  return (kDefaultCapabilityMask & ~MaskOf(dropped)) | MaskOf(added);
}

}  // namespace hull
