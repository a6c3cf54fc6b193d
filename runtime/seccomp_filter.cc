// The compiled filter, changed for other capabilities than Docker's default ones.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <vector>

#include "runtime/base64.h"
#include "runtime/default_capabilities.h"
#include "runtime/seccomp_profile.h"

namespace hull::seccomp {
namespace {

using Program = std::vector<sock_filter>;

sock_filter Statement(int code, uint32_t value) {
  return BPF_STMT(static_cast<uint16_t>(code), value);
}

// "If the accumulator is `value`, answer `verdict`."
void AnswerIfEqual(Program& program, uint32_t value, uint32_t verdict) {
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
  program.push_back(Statement(BPF_RET | BPF_K, verdict));
}

// For one architecture: what `capabilities` open beyond the default, and what they lack.
Program Answers(uint32_t architecture, uint64_t capabilities) {
  Program program;
  for (const ConditionalCall& call : ConditionalCalls()) {
    if (call.audit_architecture != architecture) continue;
    const bool is_open = (call.needs_any_capability & capabilities) != 0;
    const bool was_open = (call.needs_any_capability & kDefaultCapabilityMask) != 0;
    if (is_open && !was_open) AnswerIfEqual(program, call.number, SECCOMP_RET_ALLOW);
    if (!is_open && was_open) AnswerIfEqual(program, call.number, SECCOMP_RET_ERRNO | EPERM);
  }
  return program;
}

}  // namespace

std::string FilterBase64(uint64_t capabilities) {
  Program prefix;
  for (const uint32_t architecture : std::array<uint32_t, 2>{AUDIT_ARCH_X86_64, AUDIT_ARCH_I386}) {
    const Program answers = Answers(architecture, capabilities);
    if (answers.empty()) continue;
    prefix.push_back(Statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)));
    // Over the answers when it is the other one: a long jump, for a conditional one is short.
    prefix.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0));
    prefix.push_back(Statement(BPF_JMP | BPF_JA, static_cast<uint32_t>(answers.size() + 1)));
    prefix.push_back(Statement(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    prefix.insert(prefix.end(), answers.begin(), answers.end());
  }
  // Three instructions are 24 bytes, a whole number of base64's groups: so the texts join.
  while (prefix.size() % 3 != 0) prefix.push_back(Statement(BPF_JMP | BPF_JA, 0));
  const std::string bytes(reinterpret_cast<const char*>(prefix.data()),
                          prefix.size() * sizeof(sock_filter));
  return EncodeBase64(bytes) + std::string(DefaultFilterBase64());
}

}  // namespace hull::seccomp
