// Runs the compiled default filter on system calls, with an interpreter of the few BPF instructions
// that such filters have.
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "runtime/base64.h"
#include "runtime/default_capabilities.h"
#include "runtime/seccomp_profile.h"

namespace hull::seccomp {
namespace {

std::vector<sock_filter> Decode(std::string_view text) {
  std::string bytes;
  uint32_t group = 0;
  int bits = 0;
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (const char c : text) {
    const size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) break;
    group = group << 6U | static_cast<uint32_t>(value);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(group >> static_cast<unsigned>(bits) & 0xffU);
  }
  EXPECT_EQ(EncodeBase64(bytes), text);
  std::vector<sock_filter> filter(bytes.size() / sizeof(sock_filter));
  std::memcpy(filter.data(), bytes.data(), filter.size() * sizeof(sock_filter));
  return filter;
}

// The filter's verdict, SECCOMP_RET_...
uint32_t Run(const std::vector<sock_filter>& filter, const seccomp_data& data) {
  uint32_t a = 0;
  for (size_t at = 0; at < filter.size(); ++at) {
    const sock_filter& code = filter[at];
    bool jump = false;
    switch (code.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + code.k, sizeof a);
        continue;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= code.k;
        continue;
      case BPF_RET | BPF_K:
        return code.k;
      case BPF_JMP | BPF_JA:
        at += code.k;
        continue;
      case BPF_JMP | BPF_JEQ | BPF_K:
        jump = a == code.k;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        jump = a > code.k;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        jump = a >= code.k;
        break;
      default:
        ADD_FAILURE() << "instruction " << code.code;
        return SECCOMP_RET_KILL_PROCESS;
    }
    at += jump ? code.jt : code.jf;
  }
  ADD_FAILURE() << "ran out of the program";
  return SECCOMP_RET_KILL_PROCESS;
}

uint32_t Call(int number, uint64_t first = 0, uint32_t arch = AUDIT_ARCH_X86_64) {
  seccomp_data data{};
  data.nr = number;
  data.arch = arch;
  data.args[0] = first;
  static const std::vector<sock_filter> filter = Decode(DefaultFilterBase64());
  return Run(filter, data);
}

// The same under the filter of other capabilities.
uint32_t CallWith(uint64_t capabilities, int number, uint64_t first = 0,
                  uint32_t arch = AUDIT_ARCH_X86_64) {
  seccomp_data data{};
  data.nr = number;
  data.arch = arch;
  data.args[0] = first;
  return Run(Decode(FilterBase64(capabilities)), data);
}

constexpr uint64_t Bit(int capability) {
  return uint64_t{1} << capability;
}

constexpr uint32_t kDenied = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t kUnknown = SECCOMP_RET_ERRNO | ENOSYS;

TEST(SeccompFilter, OrdinaryCallsAreAllowed) {
  for (const int number : {SYS_read, SYS_write, SYS_execve, SYS_exit_group, SYS_openat, SYS_mmap,
                           SYS_futex, SYS_ptrace, SYS_chroot, SYS_arch_prctl, SYS_futex_waitv}) {
    EXPECT_EQ(Call(number), SECCOMP_RET_ALLOW) << number;
  }
}
TEST(SeccompFilter, CallsThatReachTheKernelItselfAreDenied) {
  for (const int number : {SYS_mount, SYS_umount2, SYS_reboot, SYS_init_module, SYS_finit_module,
                           SYS_bpf, SYS_setns, SYS_unshare, SYS_kexec_load, SYS_keyctl, SYS_add_key,
                           SYS_swapon, SYS_io_uring_setup, SYS_userfaultfd, SYS_open_by_handle_at,
                           SYS_iopl, SYS_clock_settime, SYS_perf_event_open, SYS_pivot_root}) {
    EXPECT_EQ(Call(number), kDenied) << number;
  }
}
TEST(SeccompFilter, CloneMayNotMakeNamespaces) {
  EXPECT_EQ(Call(SYS_clone, SIGCHLD), SECCOMP_RET_ALLOW);
  EXPECT_EQ(Call(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND), SECCOMP_RET_ALLOW);
  for (const uint64_t flag : std::vector<uint64_t>{CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID,
                                                   CLONE_NEWNET, CLONE_NEWCGROUP}) {
    EXPECT_EQ(Call(SYS_clone, flag | SIGCHLD), kDenied) << flag;
  }
  EXPECT_EQ(Call(SYS_clone3), kUnknown);
}
TEST(SeccompFilter, SocketsOfTheVirtualMachineAreDenied) {
  for (const uint64_t family :
       std::vector<uint64_t>{AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET}) {
    EXPECT_EQ(Call(SYS_socket, family), SECCOMP_RET_ALLOW) << family;
  }
  EXPECT_EQ(Call(SYS_socket, AF_VSOCK), kDenied);
  EXPECT_EQ(Call(SYS_socket, AF_ALG), kDenied);
}
TEST(SeccompFilter, NewCallsAreAllowedByNameOrUnknown) {
  EXPECT_EQ(Call(452), SECCOMP_RET_ALLOW);  // fchmodat2
  EXPECT_EQ(Call(462), SECCOMP_RET_ALLOW);  // mseal
  EXPECT_EQ(Call(459), kUnknown);           // lsm_get_self_attr
  EXPECT_EQ(Call(463), kUnknown);
  EXPECT_EQ(Call(100000), kUnknown);
  EXPECT_EQ(Call(450), kDenied);  // set_mempolicy_home_node needs CAP_SYS_NICE
}
TEST(SeccompFilter, OtherCallingConventionsAreFilteredToo) {
  constexpr int kWrite32 = 4;
  constexpr int kMount32 = 21;
  constexpr int kX32 = 0x40000000;
  EXPECT_EQ(Call(kWrite32, 0, AUDIT_ARCH_I386), SECCOMP_RET_ALLOW);
  EXPECT_EQ(Call(kMount32, 0, AUDIT_ARCH_I386), kDenied);
  EXPECT_EQ(Call(SYS_read | kX32), SECCOMP_RET_ALLOW);
  EXPECT_EQ(Call(SYS_mount | kX32), kDenied);
  EXPECT_NE(Call(SYS_read, 0, AUDIT_ARCH_AARCH64), SECCOMP_RET_ALLOW);
}

TEST(SeccompFilter, DockersCapabilitiesHaveTheCompiledFilterItself) {
  EXPECT_EQ(FilterBase64(kDefaultCapabilityMask), DefaultFilterBase64());
}
TEST(SeccompFilter, AddedCapabilitiesOpenTheirCalls) {
  const uint64_t admin = kDefaultCapabilityMask | Bit(CAP_SYS_ADMIN);
  for (const int number : {SYS_mount, SYS_umount2, SYS_unshare, SYS_setns, SYS_bpf, SYS_clone3,
                           SYS_fsopen, 459 /* lsm_get_self_attr */}) {
    EXPECT_EQ(CallWith(admin, number), SECCOMP_RET_ALLOW) << number;
  }
  EXPECT_EQ(CallWith(admin, SYS_clone, CLONE_NEWUSER | SIGCHLD), SECCOMP_RET_ALLOW);
  EXPECT_EQ(CallWith(admin, SYS_reboot), kDenied);
  EXPECT_EQ(CallWith(admin, SYS_read), SECCOMP_RET_ALLOW);
  EXPECT_EQ(CallWith(admin, SYS_keyctl), kDenied);
  EXPECT_EQ(CallWith(kDefaultCapabilityMask | Bit(CAP_SYSLOG), SYS_syslog), SECCOMP_RET_ALLOW);
  EXPECT_EQ(CallWith(kDefaultCapabilityMask | Bit(CAP_NET_ADMIN), SYS_mount), kDenied);
}
TEST(SeccompFilter, DroppedCapabilitiesCloseTheirCalls) {
  const uint64_t mask = kDefaultCapabilityMask & ~Bit(CAP_SYS_CHROOT);
  EXPECT_EQ(CallWith(mask, SYS_chroot), kDenied);
  EXPECT_EQ(CallWith(mask, SYS_chdir), SECCOMP_RET_ALLOW);
  EXPECT_EQ(CallWith(0, SYS_chroot), kDenied);
  EXPECT_EQ(CallWith(0, SYS_read), SECCOMP_RET_ALLOW);
}
TEST(SeccompFilter, OtherCallingConventionsFollowTheCapabilitiesToo) {
  constexpr int kMount32 = 21;
  constexpr int kChroot32 = 61;
  constexpr int kX32 = 0x40000000;
  const uint64_t admin = (kDefaultCapabilityMask | Bit(CAP_SYS_ADMIN)) & ~Bit(CAP_SYS_CHROOT);
  EXPECT_EQ(CallWith(admin, kMount32, 0, AUDIT_ARCH_I386), SECCOMP_RET_ALLOW);
  EXPECT_EQ(CallWith(admin, kChroot32, 0, AUDIT_ARCH_I386), kDenied);
  EXPECT_EQ(CallWith(admin, SYS_mount | kX32), SECCOMP_RET_ALLOW);
  EXPECT_EQ(CallWith(admin, SYS_chroot | kX32), kDenied);
  // The numbers of one are not taken for those of the other: 165 is getresuid there.
  EXPECT_EQ(CallWith(admin, SYS_reboot, 0, AUDIT_ARCH_I386), Call(SYS_reboot, 0, AUDIT_ARCH_I386));
  EXPECT_NE(CallWith(admin, SYS_mount, 0, AUDIT_ARCH_AARCH64), SECCOMP_RET_ALLOW);
}

}  // namespace
}  // namespace hull::seccomp
