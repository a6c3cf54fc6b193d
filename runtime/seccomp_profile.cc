#include "runtime/seccomp_profile.h"

#include <linux/capability.h>
#include <linux/personality.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>

namespace hull::seccomp {
namespace {

constexpr uint64_t Capability(int number) {
  return uint64_t{1} << number;
}

constexpr uint64_t kSysAdmin = Capability(CAP_SYS_ADMIN);

// Docker's list. // Left out on purpose: AF_ALG (38), AF_VSOCK (40: it would reach the agent), and
// what no container needs.
constexpr Condition kSocketFamilies[] = {
    {0, Compare::kLess, AF_DECnet},    {0, Compare::kEqual, AF_NETBEUI},
    {0, Compare::kEqual, AF_SECURITY}, {0, Compare::kEqual, AF_KEY},
    {0, Compare::kEqual, AF_NETLINK},  {0, Compare::kEqual, AF_PACKET},
    {0, Compare::kEqual, AF_ASH},      {0, Compare::kEqual, AF_RDS},
    {0, Compare::kEqual, AF_SNA},      {0, Compare::kEqual, AF_PPPOX},
    {0, Compare::kEqual, AF_LLC},      {0, Compare::kEqual, AF_IB},
    {0, Compare::kEqual, AF_MPLS},     {0, Compare::kEqual, AF_CAN},
    {0, Compare::kEqual, AF_TIPC},     {0, Compare::kEqual, AF_BLUETOOTH},
    {0, Compare::kEqual, AF_IUCV},     {0, Compare::kEqual, AF_RXRPC},
    {0, Compare::kEqual, AF_PHONET},   {0, Compare::kEqual, AF_IEEE802154},
    {0, Compare::kEqual, AF_NFC},      {0, Compare::kEqual, AF_KCM},
    {0, Compare::kEqual, AF_QIPCRTR},  {0, Compare::kEqual, AF_SMC},
    {0, Compare::kEqual, AF_XDP},      {0, Compare::kEqual, AF_MCTP},
};

// Linux, 32-bit Linux, each also under its 2.6 name, and the question which it is.
constexpr Condition kPersonalities[] = {
    {0, Compare::kEqual, PER_LINUX},  {0, Compare::kEqual, PER_LINUX32},
    {0, Compare::kEqual, UNAME26},    {0, Compare::kEqual, uint64_t{UNAME26} | PER_LINUX32},
    {0, Compare::kEqual, 0xffffffff},
};

// clone() without any new namespace.
constexpr Condition kCloneFlags[] = {
    {0, Compare::kMaskedZero,
     CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
         CLONE_NEWNET},
};

constexpr std::string_view kAlways =
    "accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset "
    "chdir chmod chown chown32 clock_adjtime clock_adjtime64 clock_getres "
    "clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep "
    "clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 "
    "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 "
    "epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat "
    "faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat "
    "fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr "
    "flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync "
    "ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv "
    "futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents "
    "getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 "
    "getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid "
    "getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname getsockopt "
    "gettid gettimeofday getuid getuid32 getxattr inotify_add_watch inotify_init "
    "inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents "
    "io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill "
    "landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 "
    "lgetxattr link linkat listen listmount listxattr llistxattr _llseek lremovexattr "
    "lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create "
    "memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 "
    "modify_ldt mprotect mq_getsetattr mq_notify mq_open mq_timedreceive "
    "mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal "
    "msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at "
    "nanosleep newfstatat _newselect open openat openat2 pause pidfd_open "
    "pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll "
    "ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease "
    "process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev "
    "pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg "
    "recvmmsg_time64 recvmsg remap_file_pages removexattr rename renameat renameat2 "
    "restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo "
    "rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo "
    "sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr "
    "sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 "
    "sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield "
    "seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile "
    "sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address "
    "setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 "
    "setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid "
    "setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr "
    "shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask "
    "sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx "
    "symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create "
    "timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime "
    "timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime "
    "timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink "
    "unlinkat utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid "
    "write writev";

constexpr std::string_view kSysAdminCalls =
    "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
    "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
    "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns "
    "syslog umount umount2 unshare";

constexpr Rule kRules[] = {
    {.names = kAlways},
    {.names = "socket", .alternatives = kSocketFamilies},
    {.names = "personality", .alternatives = kPersonalities},
    {.without_capability = kSysAdmin, .names = "clone", .alternatives = kCloneFlags},
    // The flags of clone3 are in memory, where a filter cannot look: with ENOSYS, C libraries use
    // clone.
    {.action = Action::kErrno,
     .error_number = ENOSYS,
     .without_capability = kSysAdmin,
     .names = "clone3"},
    {.needs_any_capability = kSysAdmin, .names = kSysAdminCalls},
    {.needs_any_capability = Capability(CAP_DAC_READ_SEARCH), .names = "open_by_handle_at"},
    {.needs_any_capability = Capability(CAP_SYS_BOOT), .names = "reboot"},
    {.needs_any_capability = Capability(CAP_SYS_CHROOT), .names = "chroot"},
    {.needs_any_capability = Capability(CAP_SYS_MODULE),
     .names = "delete_module init_module finit_module"},
    {.needs_any_capability = Capability(CAP_SYS_PACCT), .names = "acct"},
    {.needs_any_capability = Capability(CAP_SYS_PTRACE),
     .names = "kcmp pidfd_getfd process_madvise"},
    {.needs_any_capability = Capability(CAP_SYS_RAWIO), .names = "iopl ioperm"},
    {.needs_any_capability = Capability(CAP_SYS_TIME),
     .names = "settimeofday stime clock_settime clock_settime64"},
    {.needs_any_capability = Capability(CAP_SYS_TTY_CONFIG), .names = "vhangup"},
    {.needs_any_capability = Capability(CAP_SYS_NICE),
     .names = "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    {.needs_any_capability = Capability(CAP_SYSLOG), .names = "syslog"},
    {.needs_any_capability = Capability(CAP_BPF), .names = "bpf"},
    {.needs_any_capability = Capability(CAP_PERFMON), .names = "perf_event_open"},
};

// asm/unistd_64.h of Linux 6.12; the same numbers on i386.
constexpr uint32_t kNewerAllowed[] = {
    451,  // cachestat
    452,  // fchmodat2
    453,  // map_shadow_stack
    454,  // futex_wake
    455,  // futex_wait
    456,  // futex_requeue
    457,  // statmount
    458,  // listmount
    462,  // mseal
};

}  // namespace

std::span<const Rule> DefaultRules() {
  return kRules;
}
std::span<const uint32_t> NewerAllowedCalls() {
  return kNewerAllowed;
}

}  // namespace hull::seccomp
