// Base address registers: what a function's regions are, and where they go in the guest's
// addresses.
//
// hull decides where a region is, before the guest runs, and it stays there: a guest that sizes a
// register (PCI Local Bus Specification 3.0, 6.2.5.1) gets its answer, and any other value that it
// writes is not taken. So no region can be moved over memory, over another device or away from
// under a vCPU.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/memory/guest_range.h"
#include "vmm/pci/config_space.h"

namespace hull::pci {

inline constexpr uint32_t kBars = 6;

enum class BarKind {
  kPorts,     // I/O ports
  kMemory32,  // memory below 4 GiB
  kMemory64,  // memory anywhere; takes two registers
};

struct Bar {
  uint32_t index = 0;  // of its (first) register
  BarKind kind = BarKind::kMemory32;
  bool prefetchable = false;
  uint64_t size_bytes = 0;  // a power of two
  uint64_t address = 0;     // once placed

  bool operator==(const Bar&) const = default;
};

// Reads what kind of region register `index` has. nullopt for a register that has none.
// `value` is the register; `size_bytes` is known by other means (VFIO).
std::optional<Bar> DescribeBar(uint32_t index, uint32_t value, uint64_t size_bytes);

// Where regions may go. The ranges are whole pages, the ports' may be anything.
struct Windows {
  GuestRange ports;
  std::vector<GuestRange> low;  // below 4 GiB
  GuestRange high;              // above everything else
};

// Places all `bars` of all functions, largest first, each aligned to its size and memory on pages
// of its own. Memory that can be above 4 GiB goes there. kExhausted, naming what does not fit.
Status PlaceBars(std::vector<Bar*> bars, const Windows& windows);

// The registers of a placed region.
class BarRegisters {
 public:
  // Writes the region's registers into `space`.
  static void Show(const Bar& bar, ConfigSpace& space);
  // The guest wrote to `offset` (the access went into `space` first, the registers' bits being
  // writable): leaves the size's mask or the address in each register of `bar` that it touched.
  static void AfterWrite(const Bar& bar, ConfigSpace& space, uint32_t offset, size_t size_bytes);
};

}  // namespace hull::pci
