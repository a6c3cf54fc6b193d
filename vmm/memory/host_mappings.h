// Where guest memory lies in this process: for KVM's memslots (vmm/kvm) and the
// IOMMU's page tables (vmm/vfio), and for nothing else.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "vmm/memory/guest_memory.h"

namespace hull {

class HostMappings {
 public:
  struct Mapping {
    GuestRange range;
    uint64_t host_address;  // as KVM_SET_USER_MEMORY_REGION wants it
    bool read_only;         // KVM_MEM_READONLY
  };

  // One for each region, by guest address. Valid as long as `memory` lives.
  static std::vector<Mapping> Of(const GuestMemory& memory);
  // Of `part` alone; nullopt when no region has all of it.
  static std::optional<Mapping> Of(const GuestMemory& memory, const GuestRange& part);
};

}  // namespace hull
