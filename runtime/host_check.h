// What this host can do for hull, looked up in its files: each finding with what to change.
#pragma once

#include <string>
#include <vector>

#include "runtime/host_layout.h"
#include "vmm/base/result.h"

namespace hull {

enum class Grade {
  kOk,
  kSlow,     // works, but costs time or memory that need not be
  kMissing,  // hull, or the part of it that is named, cannot work
  kOff,      // not in use; only some needs of it (passed-through devices, huge pages)
};

std::string_view GradeName(Grade grade);

struct Finding {
  std::string name;  // "kvm device"
  Grade grade = Grade::kOk;
  std::string detail;  // what was found
  std::string remedy;  // what to do; empty when nothing is to be done
  // Without it no container can run.
  bool required = false;
};

// `root`: "" for this host, or a directory that has its proc/, sys/ and so on (for tests).
std::vector<Finding> CheckHost(const HostLayout& layout, const std::string& root = {});

// Boots the guest as a container's would be, without a container: the only proof that KVM is
// usable. Takes a fraction of a second where it is, `limit_seconds` where it only pretends.
Finding CheckBoot(const HostLayout& layout, int limit_seconds);

}  // namespace hull
