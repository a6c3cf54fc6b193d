#include "guest-agent/archive/confine.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace hull::archive {

Status EnterRoot(int root) {
  if (::fchdir(root) != 0) return FailErrno("enter the root directory");
  if (::chroot(".") != 0) return FailErrno("stay in the root directory");
  return {};
}

Status KeepCapabilities(std::initializer_list<int> kept) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return FailErrno("give up new privileges");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) return FailErrno("read the capabilities");
  std::array<uint32_t, 2> wanted{};
  for (const int number : kept) {
    wanted[static_cast<size_t>(number) / 32] |= 1U << (static_cast<unsigned>(number) % 32);
  }
  for (size_t i = 0; i < sets.size(); ++i) {
    sets[i].permitted &= wanted[i];
    sets[i].effective = sets[i].permitted;
    sets[i].inheritable = 0;
  }
  if (::syscall(SYS_capset, &header, sets.data()) != 0) return FailErrno("give up capabilities");
  return {};
}

}  // namespace hull::archive
