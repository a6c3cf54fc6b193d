// Why a vCPU came back from KVM_RUN, and what is to be done about it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

struct kvm_run;

namespace hull {

enum class ExitKind {
  kInterrupted,  // a signal or a request: nothing to do
  kPortRead,
  kPortWrite,
  kMmioRead,
  kMmioWrite,
  kShutdown,       // triple fault
  kHalt,           // the vCPU sleeps and nothing in the kernel can wake it
  kFailEntry,      // the processor refused the guest's state
  kInternalError,  // KVM gave up, for example at an instruction it cannot emulate
  kFailed,         // KVM_RUN itself failed
  kUnknown,        // an exit that hull has not asked for
};
inline constexpr size_t kExitKinds = 11;

// "port_read", ...: names of counters.
std::string_view ExitKindName(ExitKind kind);

struct VcpuExit {
  ExitKind kind = ExitKind::kUnknown;
  // Ports and MMIO: where; for the other kinds KVM's own number for what went wrong.
  uint64_t address = 0;
  // Ports and MMIO: what the guest wrote, or room for what it is to read. In the page that the vCPU
  // shares with KVM, so valid until the next Run. For ports one item of `item_bytes` after the
  // other (string instructions); for MMIO one item.
  std::span<std::byte> data = {};
  size_t item_bytes = 0;

  // For kFailEntry, kInternalError, kFailed and kUnknown: what to tell, one line.
  std::string Describe() const;
};

// Reads what the kernel has put into the shared page, `run_bytes` long. Never points outside of it.
VcpuExit DecodeExit(kvm_run* run, size_t run_bytes);

}  // namespace hull
