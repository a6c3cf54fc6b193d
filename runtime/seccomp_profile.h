// The system call filter of a container: Docker's default profile for x86-64, as data.
//
// The default goes to crun as a finished BPF program (compiled while hull is built, see
// seccomp_compile.cc), because compiling it with libseccomp costs more instructions in the guest
// than the rest of crun's work.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace hull::seccomp {

enum class Action { kAllow, kErrno };
enum class Compare { kEqual, kLess, kMaskedZero };

// One condition on one argument.
struct Condition {
  uint32_t argument = 0;
  Compare compare = Compare::kEqual;
  uint64_t value = 0;  // for kMaskedZero: the mask under which the argument must be zero
};

struct Rule {
  Action action = Action::kAllow;
  // errno value, for kErrno.
  uint32_t error_number = 0;
  // Applies only if the container has one of these capabilities (bit mask; 0: always).
  uint64_t needs_any_capability = 0;
  // Applies only if the container has none of these.
  uint64_t without_capability = 0;
  // Names separated by blanks.
  std::string_view names;
  // One condition for each alternative rule; empty: whatever the arguments are.
  std::span<const Condition> alternatives = {};
};

// What is not named is answered with EPERM; see kFirstUnknownCall for calls that are newer.
std::span<const Rule> DefaultRules();

// Calls from this number on are newer than the build host's libseccomp: those of kNewerAllowedCalls
// are allowed, the rest is answered with ENOSYS, so that a C library that tries a new call falls
// back to the old one.
inline constexpr uint32_t kFirstUnknownCall = 451;
std::span<const uint32_t> NewerAllowedCalls();

// The compiled filter for DefaultRules() and Docker's default capabilities, base64, as crun's
// annotation run.oci.seccomp_bpf_data takes it.
std::string_view DefaultFilterBase64();

// A call that some capability opens, by its number in one calling convention.
struct ConditionalCall {
  uint32_t audit_architecture = 0;    // AUDIT_ARCH_...
  uint32_t number = 0;                // with the x32 bit for x32
  uint64_t needs_any_capability = 0;  // bit mask
};
// From DefaultRules(), sorted by architecture and number; made while hull is built.
std::span<const ConditionalCall> ConditionalCalls();

// The filter for other capabilities than Docker's default: the compiled one, with a few
// instructions in front that allow what they open and refuse what they would have. The same for
// Docker's default.
std::string FilterBase64(uint64_t capabilities);

}  // namespace hull::seccomp
