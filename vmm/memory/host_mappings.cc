#include "vmm/memory/host_mappings.h"

namespace hull {

std::vector<HostMappings::Mapping> HostMappings::Of(const GuestMemory& memory) {
  std::vector<Mapping> mappings;
  for (const GuestMemory::Region& region : memory.regions_) {
    mappings.push_back({.range = region.range,
                        // SAFETY: a number for KVM; nobody here makes a pointer of it again.
                        .host_address = reinterpret_cast<uintptr_t>(region.data),
                        .read_only = region.access == GuestAccess::kReadOnly});
  }
  return mappings;
}

std::optional<HostMappings::Mapping> HostMappings::Of(const GuestMemory& memory,
                                                      const GuestRange& part) {
  for (const Mapping& whole : Of(memory)) {
    if (part.empty() || !whole.range.Contains(part)) continue;
    return Mapping{
        .range = part,
        .host_address = whole.host_address + (part.start().value() - whole.range.start().value()),
        .read_only = whole.read_only};
  }
  return std::nullopt;
}

}  // namespace hull
