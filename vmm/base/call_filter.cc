#include "vmm/base/call_filter.h"

#include <seccomp.h>

#include <cerrno>
#include <memory>

namespace hull {
namespace {

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

struct FilterRelease {
  void operator()(void* filter) const { seccomp_release(filter); }
};

}  // namespace

bool IsSanitized() {
  return kSanitized;
}

Status AllowOnly(const CallList& calls) {
  if (kSanitized) return {};
  const std::unique_ptr<void, FilterRelease> filter(seccomp_init(SCMP_ACT_KILL_PROCESS));
  if (filter == nullptr) return Fail(ErrorCode::kExhausted, "no memory for a seccomp filter");
  int status = 0;
  for (const int call : calls.allowed) {
    if (status == 0) status = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0);
  }
  for (const int call : calls.absent) {
    if (status == 0) status = seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOENT), call, 0);
  }
  if (status == 0) status = seccomp_load(filter.get());
  if (status != 0) return Fail(Error::FromErrno(-status, "load the seccomp filter"));
  return {};
}

}  // namespace hull
