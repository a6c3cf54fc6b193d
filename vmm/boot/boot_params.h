// The first page that Linux reads on x86 (struct boot_params), and what it points to.
// Linux: Documentation/arch/x86/boot.rst and zero-page.rst.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/memory/guest_memory.h"
#include "vmm/memory/guest_range.h"

namespace hull {

inline constexpr size_t kBootRandomBytes = 32;

struct BootParamsConfig {
  // Where the structure goes (page-aligned); the command line and the data that the structure
  // points to follow it at once.
  GuestAddress address;
  // All of it must end here or below.
  GuestAddress limit;
  std::vector<GuestRange> ram;  // by address, as the guest is to use it
  std::string_view command_line;
  std::span<const std::byte> device_tree;
  // Seeds the guest's random numbers; the guest wipes it.
  std::array<std::byte, kBootRandomBytes> random = {};
};

// Writes everything to guest memory and returns the range that it took, from `address` on.
// kExhausted when it does not fit below `limit`.
Result<GuestRange> WriteBootParams(GuestMemory& memory, const BootParamsConfig& config);

}  // namespace hull
