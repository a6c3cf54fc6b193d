// Build-time program: compiles seccomp::DefaultRules() with libseccomp into the BPF that containers
// get, and writes it as a C++ source file. Usage: seccomp_compile OUTPUT.cc
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base64.h"
#include "runtime/default_capabilities.h"
#include "runtime/seccomp_profile.h"

namespace hull::seccomp {
namespace {

scmp_arg_cmp ToLibrary(const Condition& condition) {
  // Written out: clang warns inside the library's SCMP_CMP.
  switch (condition.compare) {
    case Compare::kEqual:
      return {condition.argument, SCMP_CMP_EQ, condition.value, 0};
    case Compare::kLess:
      return {condition.argument, SCMP_CMP_LT, condition.value, 0};
    case Compare::kMaskedZero:
      break;
  }
  return {condition.argument, SCMP_CMP_MASKED_EQ, condition.value, 0};
}

bool Applies(const Rule& rule, uint64_t capabilities) {
  if (rule.needs_any_capability != 0 && (rule.needs_any_capability & capabilities) == 0)
    return false;
  return (rule.without_capability & capabilities) == 0;
}

// 0, or a negative errno value.
int AddRule(scmp_filter_ctx context, const Rule& rule) {
  const uint32_t action =
      rule.action == Action::kAllow ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(rule.error_number);
  std::istringstream names{std::string(rule.names)};
  for (std::string name; names >> name;) {
    const int number = seccomp_syscall_resolve_name(name.c_str());
    // Newer than this libseccomp: NewerAllowedCalls() has it.
    if (number == __NR_SCMP_ERROR) continue;
    if (rule.alternatives.empty()) {
      if (const int error = seccomp_rule_add(context, action, number, 0); error != 0) return error;
    }
    for (const Condition& condition : rule.alternatives) {
      const scmp_arg_cmp compare = ToLibrary(condition);
      if (const int error = seccomp_rule_add_array(context, action, number, 1, &compare);
          error != 0)
        return error;
    }
  }
  return 0;
}

constexpr uint32_t kX32Bit = 0x40000000;

// What runs before libseccomp's program: calls that it does not know.
std::vector<sock_filter> NewerCalls() {
  const std::span<const uint32_t> allowed = NewerAllowedCalls();
  const auto count = static_cast<uint8_t>(allowed.size());
  std::vector<sock_filter> code;
  code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
  // Jumps are relative to the next instruction; the program behind begins after the two returns.
  code.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, static_cast<uint8_t>(count + 3), 0));
  code.push_back(
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, kFirstUnknownCall, 0, static_cast<uint8_t>(count + 2)));
  for (uint8_t i = 0; i < count; ++i) {
    code.push_back(
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], static_cast<uint8_t>(count - i), 0));
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS));
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  return code;
}

std::string Compile() {
  scmp_filter_ctx context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (context == nullptr) return {};
  std::string program;
  const int memory = memfd_create("filter", MFD_CLOEXEC);
  bool good = memory >= 0 && seccomp_arch_add(context, SCMP_ARCH_X86) == 0 &&
              seccomp_arch_add(context, SCMP_ARCH_X32) == 0 &&
              // 2: a binary tree over the call numbers instead of a list.
              seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0;
  for (const Rule& rule : DefaultRules()) {
    if (!good) break;
    if (Applies(rule, kDefaultCapabilityMask)) good = AddRule(context, rule) == 0;
  }
  good = good && seccomp_export_bpf(context, memory) == 0;
  seccomp_release(context);
  if (!good) return {};
  const std::vector<sock_filter> first = NewerCalls();
  program.assign(reinterpret_cast<const char*>(first.data()), first.size() * sizeof(sock_filter));
  const off_t size = lseek(memory, 0, SEEK_END);
  std::string rest(static_cast<size_t>(size), '\0');
  if (pread(memory, rest.data(), rest.size(), 0) != size) return {};
  close(memory);
  return program + rest;
}

// Newer than this libseccomp, and conditional; asm/unistd_64.h of Linux 6.12, the same on i386.
constexpr struct {
  std::string_view name;
  int number;
} kNewerCalls[] = {
    {"lsm_get_self_attr", 459}, {"lsm_set_self_attr", 460}, {"lsm_list_modules", 461}};

// Negative: that calling convention has no such call.
int NumberOf(const std::string& name, uint32_t library_architecture) {
  for (const auto& call : kNewerCalls) {
    if (call.name == name) {
      const bool is_x32 = library_architecture == SCMP_ARCH_X32;
      return is_x32 ? static_cast<int>(kX32Bit) + call.number : call.number;
    }
  }
  return seccomp_syscall_resolve_name_arch(library_architecture, name.c_str());
}

struct Convention {
  uint32_t library;
  uint32_t audit;
};
constexpr Convention kConventions[] = {{SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64},
                                       {SCMP_ARCH_X32, AUDIT_ARCH_X86_64},
                                       {SCMP_ARCH_X86, AUDIT_ARCH_I386}};

using CallKey = std::pair<uint32_t, uint32_t>;  // architecture, number

std::map<CallKey, uint64_t> FindConditionalCalls() {
  std::map<CallKey, uint64_t> calls;
  for (const Rule& rule : DefaultRules()) {
    if (rule.needs_any_capability == 0) continue;
    std::istringstream names{std::string(rule.names)};
    for (std::string name; names >> name;) {
      for (const Convention& convention : kConventions) {
        const int number = NumberOf(name, convention.library);
        if (number < 0) continue;
        calls[{convention.audit, static_cast<uint32_t>(number)}] |= rule.needs_any_capability;
      }
    }
  }
  return calls;
}

void WriteConditionalCalls(std::ofstream& out) {
  out << "namespace {\nconstexpr ConditionalCall kConditionalCalls[] = {\n";
  for (const auto& [key, needs] : FindConditionalCalls()) {
    out << "    {" << key.first << "U, " << key.second << "U, " << needs << "U},\n";
  }
  out << "};\n}  // namespace\n\nstd::span<const ConditionalCall> ConditionalCalls() {\n"
         "  return kConditionalCalls;\n}\n\n";
}

}  // namespace
}  // namespace hull::seccomp

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: seccomp_compile OUTPUT.cc\n", stderr);
    return 2;
  }
  const std::string program = hull::seccomp::Compile();
  if (program.empty()) {
    std::fputs("seccomp_compile: libseccomp refused the profile\n", stderr);
    return 1;
  }
  std::ofstream out(argv[1]);
  out << "#include \"runtime/seccomp_profile.h\"\n\nnamespace hull::seccomp {\n\nstd::string_view "
         "DefaultFilterBase64() {\n"
      << "  // " << program.size() / sizeof(sock_filter) << " instructions.\n  return\n";
  const std::string text = hull::EncodeBase64(program);
  for (size_t i = 0; i < text.size(); i += 100) out << "      \"" << text.substr(i, 100) << "\"\n";
  out << "      ;\n}\n\n";
  hull::seccomp::WriteConditionalCalls(out);
  out << "}  // namespace hull::seccomp\n";
  return out.good() ? 0 : 1;
}
