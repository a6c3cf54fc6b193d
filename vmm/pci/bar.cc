#include "vmm/pci/bar.h"

#include <linux/pci_regs.h>

#include <algorithm>
#include <bit>

#include "vmm/base/check.h"
#include "vmm/base/checked.h"

namespace hull::pci {
namespace {

constexpr uint64_t kPageBytes = 4096;

uint32_t RegisterOf(const Bar& bar) {
  return PCI_BASE_ADDRESS_0 + 4 * bar.index;
}

// The bits that tell the kind of region.
uint32_t TypeBits(const Bar& bar) {
  switch (bar.kind) {
    case BarKind::kPorts:
      return PCI_BASE_ADDRESS_SPACE_IO;
    case BarKind::kMemory64:
      return PCI_BASE_ADDRESS_MEM_TYPE_64 | (bar.prefetchable ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0U);
    case BarKind::kMemory32:
      break;
  }
  return bar.prefetchable ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0U;
}

// Takes regions one behind the other, largest first, so that alignment leaves no holes but the
// first.
class Cursor {
 public:
  explicit Cursor(const GuestRange& range)
      : next_(range.start().value()), end_(range.end().value()) {}

  std::optional<uint64_t> Take(uint64_t size_bytes, uint64_t granule_bytes) {
    const auto start = CheckedAlignUp(next_, std::max(size_bytes, granule_bytes));
    if (!start || *start > end_) return std::nullopt;
    const auto taken = CheckedAlignUp(size_bytes, granule_bytes);
    if (!taken || *taken > end_ - *start) return std::nullopt;
    next_ = *start + *taken;
    return start;
  }

 private:
  uint64_t next_;
  uint64_t end_;
};

bool Place(Bar& bar, std::vector<Cursor>& cursors, uint64_t granule_bytes) {
  for (Cursor& cursor : cursors) {
    if (const auto address = cursor.Take(bar.size_bytes, granule_bytes)) {
      bar.address = *address;
      return true;
    }
  }
  return false;
}

}  // namespace

std::optional<Bar> DescribeBar(uint32_t index, uint32_t value, uint64_t size_bytes) {
  if (index >= kBars || size_bytes == 0 || !std::has_single_bit(size_bytes)) return std::nullopt;
  Bar bar = {.index = index, .size_bytes = size_bytes};
  if ((value & PCI_BASE_ADDRESS_SPACE) == PCI_BASE_ADDRESS_SPACE_IO) {
    bar.kind = BarKind::kPorts;
    return bar;
  }
  bar.prefetchable = (value & PCI_BASE_ADDRESS_MEM_PREFETCH) != 0;
  if ((value & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64) {
    if (index + 1 >= kBars) return std::nullopt;
    bar.kind = BarKind::kMemory64;
  }
  return bar;
}

Status PlaceBars(std::vector<Bar*> bars, const Windows& windows) {
  std::ranges::stable_sort(bars, std::ranges::greater(), &Bar::size_bytes);
  std::vector<Cursor> ports = {Cursor(windows.ports)};
  std::vector<Cursor> high = {Cursor(windows.high)};
  std::vector<Cursor> low;
  for (const GuestRange& range : windows.low) low.emplace_back(range);
  for (Bar* const bar : bars) {
    HULL_CHECK(std::has_single_bit(bar->size_bytes));
    if (bar->kind == BarKind::kPorts) {
      if (!Place(*bar, ports, 1)) {
        return Fail(ErrorCode::kExhausted, "region {}: no {} I/O ports are left", bar->index,
                    bar->size_bytes);
      }
    } else if (!Place(*bar, bar->kind == BarKind::kMemory64 ? high : low, kPageBytes)) {
      return Fail(ErrorCode::kExhausted, "region {}: no room for its {} MiB {} 4 GiB", bar->index,
                  (bar->size_bytes + (1U << 20U) - 1) >> 20U,
                  bar->kind == BarKind::kMemory64 ? "above" : "below");
    }
  }
  return {};
}

void BarRegisters::Show(const Bar& bar, ConfigSpace& space) {
  const uint32_t at = RegisterOf(bar);
  space.Set(at, 4, static_cast<uint32_t>(bar.address) | TypeBits(bar));
  space.SetWritable(at, 4, ~uint32_t{0});
  if (bar.kind == BarKind::kMemory64) {
    space.Set(at + 4, 4, static_cast<uint32_t>(bar.address >> 32U));
    space.SetWritable(at + 4, 4, ~uint32_t{0});
  }
}

void BarRegisters::AfterWrite(const Bar& bar, ConfigSpace& space, uint32_t offset,
                              size_t size_bytes) {
  const uint32_t at = RegisterOf(bar);
  const uint32_t type = TypeBits(bar);
  const uint32_t type_mask = bar.kind == BarKind::kPorts ? 0x3U : 0xfU;
  const uint64_t mask = ~(bar.size_bytes - 1);
  // All ones in the address bits ask for the size; each half of a 64-bit register by itself.
  if (Touches(offset, size_bytes, at, 4)) {
    const bool asks_low = (space.Read(at, 4) | type_mask) == ~uint32_t{0};
    space.Set(at, 4, (static_cast<uint32_t>(asks_low ? mask : bar.address) & ~type_mask) | type);
  }
  if (bar.kind != BarKind::kMemory64 || !Touches(offset, size_bytes, at + 4, 4)) return;
  const bool asks_high = space.Read(at + 4, 4) == ~uint32_t{0};
  space.Set(at + 4, 4, static_cast<uint32_t>((asks_high ? mask : bar.address) >> 32U));
}

}  // namespace hull::pci
