#include "images/import/confine.h"

#include <grp.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <memory>

namespace hull::images {
namespace {

// Sanitizers map terabytes and make system calls of their own: a build with them is for tests
// alone.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

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

struct FilterRelease {
  void operator()(void* filter) const { seccomp_release(filter); }
};

Status LoadFilter() {
  const std::unique_ptr<void, FilterRelease> filter(seccomp_init(SCMP_ACT_KILL_PROCESS));
  if (filter == nullptr) return Fail(ErrorCode::kExhausted, "no memory for a seccomp filter");
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
  int status = 0;
  for (const int call : kAllowed) {
    if (status == 0) status = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0);
  }
  // The C library looks for character set converters; it does without.
  for (const int call : {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(readlink), SCMP_SYS(access)}) {
    if (status == 0) status = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOENT), call, 0);
  }
  if (status == 0) status = seccomp_load(filter.get());
  if (status != 0) return Fail(Error::FromErrno(-status, "load the seccomp filter"));
  return {};
}

}  // namespace

Status Confine(uint64_t memory_bytes) {
  HULL_TRY(Limit(RLIMIT_CORE, 0));
  if (!kSanitized) HULL_TRY(Limit(RLIMIT_AS, memory_bytes));
  const pid_t parent = ::getppid();
  HULL_TRY(BecomeNobody());
  // The kernel forgets the signal that comes with the parent's death when a process changes its
  // user (prctl(2), PR_SET_PDEATHSIG).
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return FailErrno("die with the parent");
  if (::getppid() != parent) return Fail(ErrorCode::kCancelled, "the parent is gone");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return FailErrno("give up new privileges");
  // Nobody may read along or attach, though the user id is shared with other services.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return FailErrno("forbid tracing");
  return kSanitized ? Status() : LoadFilter();
}

}  // namespace hull::images
