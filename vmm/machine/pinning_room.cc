#include "vmm/machine/pinning_room.h"

#include <linux/capability.h>
#include <sys/resource.h>

#include <charconv>
#include <string>

#include "vmm/base/file.h"

namespace hull {
namespace {

// More than either file has.
constexpr size_t kMaxProcBytes = 64U << 10U;
constexpr uint64_t kKib = 1024;

// The number behind "\nNAME:" and blanks.
std::optional<uint64_t> NumberOf(std::string_view text, std::string_view name, int base) {
  for (size_t at = 0; at < text.size();) {
    const std::string_view line = text.substr(at, text.find('\n', at) - at);
    at += line.size() + 1;
    if (!line.starts_with(name) || line.size() == name.size() || line[name.size()] != ':') continue;
    const size_t digits = line.find_first_not_of(" \t", name.size() + 1);
    if (digits == std::string_view::npos) return std::nullopt;
    uint64_t number = 0;
    const auto [end, error] =
        std::from_chars(line.data() + digits, line.data() + line.size(), number, base);
    if (error != std::errc()) return std::nullopt;
    return number;
  }
  return std::nullopt;
}

std::string Mib(uint64_t bytes) {
  return fmt::format("{} MiB", bytes >> 20U);
}

}  // namespace

PinningRoom PinningRoom::OfThisProcess() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) limit.rlim_cur = RLIM_INFINITY;
  return Read(limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur,
              ReadFile("/proc/self/status", kMaxProcBytes).value_or(""),
              ReadFile("/proc/meminfo", kMaxProcBytes).value_or(""));
}

PinningRoom PinningRoom::Read(uint64_t limit_bytes, std::string_view status,
                              std::string_view memory) {
  PinningRoom room;
  const uint64_t capabilities = NumberOf(status, "CapEff", 16).value_or(0);
  const bool may_exceed = ((capabilities >> uint32_t{CAP_IPC_LOCK}) & 1U) != 0;
  if (!may_exceed && limit_bytes != UINT64_MAX) room.lockable_bytes = limit_bytes;
  if (const auto available = NumberOf(memory, "MemAvailable", 10)) {
    room.available_bytes = (*available + NumberOf(memory, "SwapFree", 10).value_or(0)) * kKib;
  }
  return room;
}

Status PinningRoom::Check(uint64_t needed_bytes) const {
  if (lockable_bytes && *lockable_bytes < needed_bytes) {
    return Fail(MakeError(ErrorCode::kExhausted,
                          "{} are to be pinned for its devices, and this process may lock {} "
                          "(RLIMIT_MEMLOCK)",
                          Mib(needed_bytes), Mib(*lockable_bytes))
                    .WithHint("raise the limit (ulimit -l, LimitMEMLOCK= of a systemd unit), give "
                              "the VM less memory, or its devices a pool of it (dma_pool_bytes, "
                              "--annotation hull.dma-pool=SIZE)"));
  }
  if (available_bytes && *available_bytes < needed_bytes) {
    return Fail(
        MakeError(ErrorCode::kExhausted,
                  "{} are to be pinned for its devices, and the host has {} available",
                  Mib(needed_bytes), Mib(*available_bytes))
            .WithHint("give the VM less memory, or free some on the host: memory of a VM "
                      "with devices is taken at once and cannot be swapped out, unless they "
                      "have a pool of it (dma_pool_bytes, --annotation hull.dma-pool=SIZE)"));
  }
  return {};
}

}  // namespace hull
