// A seccomp filter for programs of hull that read what is hostile: a list of the system calls that
// they may make. A library of its own, so that only they carry libseccomp.
#pragma once

#include <span>

#include "vmm/base/result.h"

namespace hull {

struct CallList {
  std::span<const int> allowed;  // numbers, SCMP_SYS(read)
  // Answered with ENOENT: what the C library asks for and does without.
  std::span<const int> absent = {};
};

// From here on every other call kills the process (SIGSYS). Irrevocable; takes from the process the
// right to gain privileges by executing a program. In a build with a sanitizer nothing happens:
// sanitizers make calls of their own.
Status AllowOnly(const CallList& calls);

// Whether this is such a build.
bool IsSanitized();

}  // namespace hull
