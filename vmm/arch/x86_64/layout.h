// Where things are in the guest-physical addresses of hull's x86 machine (ARCHITECTURE.md, "The
// machine").
#pragma once

#include <cstdint>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/memory/guest_address.h"
#include "vmm/memory/guest_range.h"

namespace hull::x86_64 {

inline constexpr uint64_t kPageBytes = 4096;
inline constexpr uint64_t kGiB = 1ULL << 30U;

// What the VMM writes for the kernel's first moments, side by side: page tables (three pages), then
// the boot parameters. Where a PC has video memory: Linux leaves that alone and has no need to mark
// it as taken in its map of usable memory.
inline constexpr GuestAddress kPageTables{0xa'0000};
inline constexpr GuestAddress kBootParams{0xa'3000};
inline constexpr GuestAddress kBootLimit{0xc'0000};

// Memory below 4 GiB ends here at the latest: devices follow.
inline constexpr GuestAddress kHoleStart{3 * kGiB};
inline constexpr GuestAddress kHoleEnd{4 * kGiB};

inline constexpr GuestAddress kVirtioStart{0xd000'0000};
inline constexpr uint64_t kVirtioStrideBytes = 0x1000;
inline constexpr GuestAddress kSystemControl{0xd010'0000};
inline constexpr GuestAddress kIoApic{0xfec0'0000};
inline constexpr GuestAddress kLocalApic{0xfee0'0000};

// Old PC addresses (video, option ROMs, BIOS): memory, so that probing them is no exit, but not
// told to Linux as such.
inline constexpr GuestAddress kLegacyStart{0xa'0000};
inline constexpr GuestAddress kLegacyEnd{0x10'0000};

// The unit in which Linux adds device memory (a section of its memory map).
inline constexpr uint64_t kDeviceMemoryAlignment = 128ULL << 20U;

// The n-th interrupt line that a device may have. Lines that the PC's old devices had come last.
// n is below kDeviceLines.
inline constexpr uint32_t kDeviceLines = 19;
uint32_t DeviceLine(uint32_t n);

// Where regions of passed-through devices may be: ports (Linux leaves the first 4,096 to the
// devices of an old PC), and memory between hull's own devices and the I/O APIC.
inline constexpr uint64_t kPciPortsStart = 0x1000;
inline constexpr uint64_t kPciPortsEnd = 0x1'0000;
inline constexpr GuestAddress kPciLowStart{0xd040'0000};
inline constexpr GuestAddress kPciLowEnd = kIoApic;

// The ranges of `memory_bytes` of memory: one below the hole, and one above where it is needed.
std::vector<GuestRange> MemoryRanges(uint64_t memory_bytes);

// The same as Linux is to use it, without the old PC addresses.
std::vector<GuestRange> UsableRanges(const std::vector<GuestRange>& memory);

// Where the memory is that devices reach, if not all: behind the kernel, which ends at
// `kernel_end`, so that it is out of the way of what Linux allocates before it knows of it (from
// the top), and within 32 bits. Aligned to 2 MiB. kExhausted when `low_memory`, the first of the
// ranges, is too small.
Result<GuestRange> PlaceDmaPool(const GuestRange& low_memory, GuestAddress kernel_end,
                                uint64_t pool_bytes);

// Hands out ranges for device memory above everything else.
class DeviceMemoryAllocator {
 public:
  // `memory_end` is one past the last byte of memory.
  explicit DeviceMemoryAllocator(GuestAddress memory_end);
  // The next range: `size_bytes` rounded up to the unit. kExhausted when the addresses run out.
  Result<GuestRange> Allocate(uint64_t size_bytes);
  // All that is left, up to what a processor with `address_bits` can address.
  GuestRange Rest(uint32_t address_bits) const;

 private:
  uint64_t next_;
};

}  // namespace hull::x86_64
