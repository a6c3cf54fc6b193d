#include "images/import/confine.h"

#include <grp.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "vmm/base/call_filter.h"

namespace hull::images {
namespace {

constexpr uid_t kNobody = 65534;

Status Limit(__rlimit_resource resource, uint64_t value) {
  const rlimit limit = {value, value};
  if (::setrlimit(resource, &limit) != 0)
    return FailErrno("limit resource {}", static_cast<int>(resource));
  return {};
}

Status BecomeNobody() {
  if (::geteuid() != 0) return {};
  if (::setgroups(0, nullptr) != 0) return FailErrno("give up root's groups");
  if (::setresgid(kNobody, kNobody, kNobody) != 0) return FailErrno("give up root's group");
  if (::setresuid(kNobody, kNobody, kNobody) != 0) return FailErrno("give up root");
  return {};
}

Status LoadFilter() {
  constexpr int kAllowed[] = {
      SCMP_SYS(read),       SCMP_SYS(write),         SCMP_SYS(writev),
      SCMP_SYS(pwrite64),   SCMP_SYS(lseek),         SCMP_SYS(fstat),
      SCMP_SYS(newfstatat), SCMP_SYS(ftruncate),     SCMP_SYS(close),
      SCMP_SYS(mmap),       SCMP_SYS(munmap),        SCMP_SYS(mremap),
      SCMP_SYS(mprotect),   SCMP_SYS(madvise),       SCMP_SYS(brk),
      SCMP_SYS(futex),      SCMP_SYS(rt_sigreturn),  SCMP_SYS(rt_sigprocmask),
      SCMP_SYS(gettid),     SCMP_SYS(getpid),        SCMP_SYS(tgkill),
      SCMP_SYS(getrandom),  SCMP_SYS(clock_gettime), SCMP_SYS(exit),
      SCMP_SYS(exit_group), SCMP_SYS(pread64),
  };
  // The C library looks for character set converters; it does without.
  constexpr int kAbsent[] = {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(readlink),
                             SCMP_SYS(access)};
  return AllowOnly({kAllowed, kAbsent});
}

}  // namespace

Status Confine(uint64_t memory_bytes) {
  HULL_TRY(Limit(RLIMIT_CORE, 0));
  // Sanitizers map terabytes.
  if (!IsSanitized()) HULL_TRY(Limit(RLIMIT_AS, memory_bytes));
  const pid_t parent = ::getppid();
  HULL_TRY(BecomeNobody());
  // The kernel forgets the signal that comes with the parent's death when a process changes its
  // user (prctl(2), PR_SET_PDEATHSIG).
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return FailErrno("die with the parent");
  if (::getppid() != parent) return Fail(ErrorCode::kCancelled, "the parent is gone");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return FailErrno("give up new privileges");
  // Nobody may read along or attach, though the user id is shared with other services.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return FailErrno("forbid tracing");
  return LoadFilter();
}

}  // namespace hull::images
