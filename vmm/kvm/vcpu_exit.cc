#include "vmm/kvm/vcpu_exit.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "vmm/base/checked.h"
#include "vmm/kvm/kvm_header.h"

namespace hull {
namespace {

constexpr std::array<std::string_view, kExitKinds> kNames = {
    "interrupted", "port_read",  "port_write",     "mmio_read", "mmio_write", "shutdown",
    "halt",        "fail_entry", "internal_error", "failed",    "unknown"};

VcpuExit DecodePort(kvm_run* run, size_t run_bytes) {
  const auto& io = run->io;
  const uint64_t size_bytes = uint64_t{io.size} * io.count;
  const auto end = CheckedAdd<uint64_t>(io.data_offset, size_bytes);
  if (io.size == 0 || io.data_offset < sizeof(kvm_run) || !end || *end > run_bytes) {
    return {.kind = ExitKind::kUnknown, .address = KVM_EXIT_IO};
  }
  // SAFETY: the kernel's buffer lies behind the structure in the same mapping; checked just above.
  auto* data = reinterpret_cast<std::byte*>(run) + io.data_offset;
  return {.kind = io.direction == KVM_EXIT_IO_OUT ? ExitKind::kPortWrite : ExitKind::kPortRead,
          .address = io.port,
          .data = {data, static_cast<size_t>(size_bytes)},
          .item_bytes = io.size};
}

VcpuExit DecodeMmio(kvm_run* run) {
  auto& mmio = run->mmio;
  if (mmio.len == 0 || mmio.len > sizeof(mmio.data)) {
    return {.kind = ExitKind::kUnknown, .address = KVM_EXIT_MMIO};
  }
  return {.kind = mmio.is_write != 0 ? ExitKind::kMmioWrite : ExitKind::kMmioRead,
          .address = mmio.phys_addr,
          .data = std::as_writable_bytes(std::span(mmio.data, mmio.len)),
          .item_bytes = mmio.len};
}

}  // namespace

std::string_view ExitKindName(ExitKind kind) {
  return kNames[static_cast<size_t>(kind)];
}

std::string VcpuExit::Describe() const {
  switch (kind) {
    case ExitKind::kFailEntry:
      return fmt::format("the processor refused to enter the guest (hardware reason {:#x})",
                         address);
    case ExitKind::kInternalError:
      if (address == KVM_INTERNAL_ERROR_EMULATION) {
        return "KVM could not emulate an instruction of the guest";
      }
      return fmt::format("KVM reported internal error {}", address);
    case ExitKind::kFailed:
      return fmt::format("KVM_RUN: {}", ::strerrordesc_np(static_cast<int>(address)));
    default:
      return fmt::format("KVM exit {} ({})", ExitKindName(kind), address);
  }
}

VcpuExit DecodeExit(kvm_run* run, size_t run_bytes) {
  switch (run->exit_reason) {
    case KVM_EXIT_IO:
      return DecodePort(run, run_bytes);
    case KVM_EXIT_MMIO:
      return DecodeMmio(run);
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
      return {.kind = ExitKind::kInterrupted};
    case KVM_EXIT_SHUTDOWN:
      return {.kind = ExitKind::kShutdown};
    case KVM_EXIT_HLT:
      return {.kind = ExitKind::kHalt};
    case KVM_EXIT_FAIL_ENTRY:
      return {.kind = ExitKind::kFailEntry,
              .address = run->fail_entry.hardware_entry_failure_reason};
    case KVM_EXIT_INTERNAL_ERROR:
      return {.kind = ExitKind::kInternalError, .address = run->internal.suberror};
    default:
      return {.kind = ExitKind::kUnknown, .address = run->exit_reason};
  }
}

}  // namespace hull
