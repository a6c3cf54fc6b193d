#include "guest-agent/archive/confine.h"

#include <linux/capability.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "vmm/base/call_filter.h"

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

Status AllowFilesOnly() {
  constexpr int kAllowed[] = {
      // The stream, and files that are open.
      SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64),
      SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(lseek), SCMP_SYS(fstat), SCMP_SYS(ftruncate),
      SCMP_SYS(close), SCMP_SYS(fcntl), SCMP_SYS(getdents64), SCMP_SYS(fchown), SCMP_SYS(fchmod),
      SCMP_SYS(fgetxattr), SCMP_SYS(flistxattr), SCMP_SYS(fsetxattr),
      // Names below a directory that is open.
      SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(newfstatat), SCMP_SYS(readlinkat),
      SCMP_SYS(mkdirat), SCMP_SYS(mknodat), SCMP_SYS(symlinkat), SCMP_SYS(linkat),
      SCMP_SYS(unlinkat), SCMP_SYS(fchownat), SCMP_SYS(fchmodat), SCMP_SYS(utimensat),
      // Memory, and what the C library does.
      SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise),
      SCMP_SYS(brk), SCMP_SYS(futex), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
      SCMP_SYS(gettid), SCMP_SYS(getpid), SCMP_SYS(geteuid), SCMP_SYS(tgkill), SCMP_SYS(getrandom),
      SCMP_SYS(clock_gettime), SCMP_SYS(umask), SCMP_SYS(exit), SCMP_SYS(exit_group)};
  // The C library looks for character set converters; it does without.
  constexpr int kAbsent[] = {SCMP_SYS(open), SCMP_SYS(readlink), SCMP_SYS(access)};
  return AllowOnly({kAllowed, kAbsent});
}

}  // namespace hull::archive
