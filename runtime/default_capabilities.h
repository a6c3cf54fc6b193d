// Docker's default capabilities: enough for what images expect of root, none that reaches the
// (guest's) kernel.
#pragma once

#include <linux/capability.h>

#include <cstdint>
#include <string_view>

namespace hull {

struct Capability {
  int number;
  std::string_view name;
};

inline constexpr Capability kDefaultCapabilities[] = {
    {CAP_CHOWN, "CAP_CHOWN"},
    {CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE"},
    {CAP_FSETID, "CAP_FSETID"},
    {CAP_FOWNER, "CAP_FOWNER"},
    {CAP_MKNOD, "CAP_MKNOD"},
    {CAP_NET_RAW, "CAP_NET_RAW"},
    {CAP_SETGID, "CAP_SETGID"},
    {CAP_SETUID, "CAP_SETUID"},
    {CAP_SETFCAP, "CAP_SETFCAP"},
    {CAP_SETPCAP, "CAP_SETPCAP"},
    {CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE"},
    {CAP_SYS_CHROOT, "CAP_SYS_CHROOT"},
    {CAP_KILL, "CAP_KILL"},
    {CAP_AUDIT_WRITE, "CAP_AUDIT_WRITE"},
};

inline constexpr uint64_t kDefaultCapabilityMask = [] {
  uint64_t mask = 0;
  for (const Capability& capability : kDefaultCapabilities)
    mask |= uint64_t{1} << capability.number;
  return mask;
}();

}  // namespace hull
