// PinningRoom: whether this process may pin as much memory as a machine with devices needs, and
// whether the host has it. Asked before the start, since the host's own answer is late and has no
// figures.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "vmm/base/result.h"

namespace hull {

struct PinningRoom {
  std::optional<uint64_t> lockable_bytes;   // RLIMIT_MEMLOCK; nullopt: no limit
  std::optional<uint64_t> available_bytes;  // memory and swap space; nullopt: not known

  static PinningRoom OfThisProcess();
  // `limit_bytes` of RLIMIT_MEMLOCK, the text of /proc/self/status and of /proc/meminfo. What they
  // do not say is no limit.
  static PinningRoom Read(uint64_t limit_bytes, std::string_view status, std::string_view memory);

  // kExhausted, with the figures and what to do.
  Status Check(uint64_t needed_bytes) const;
};

}  // namespace hull
