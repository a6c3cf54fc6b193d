// How large a container's virtual machine is: from what the container may use, and what the guest
// needs.
#pragma once

#include <cstdint>

#include "runtime/container_options.h"
#include "vmm/base/result.h"

namespace hull {

struct MachineSize {
  uint32_t cpus = 1;
  uint64_t memory_bytes = 0;
};

// Without --memory. The host gives pages only when the guest touches them, so the size itself costs
// the guest 64 bytes of struct page for each 4 KiB, all written while it boots: 4 MiB here.
inline constexpr uint64_t kDefaultMemoryBytes = 256ULL << 20;
// With --memory: what the guest's kernel, agent and runtime need besides the container's own.
inline constexpr uint64_t kGuestMemoryBytes = 64ULL << 20;

// A pool for DMA comes on top. `layer_bytes`: the sum of the image's layers, for their share of
// struct pages. `host_cpus`: online CPUs. kInvalidArgument, in docker's words, for what cannot be.
Result<MachineSize> SizeMachine(const ContainerOptions& options, uint64_t layer_bytes,
                                uint32_t host_cpus);

}  // namespace hull
