#include "vmm/machine/warm_up.h"

#include <algorithm>

namespace hull {
namespace {

constexpr uint64_t kPage = GuestMemory::kPageBytes;
constexpr uint64_t kHugePage = 2ULL << 20U;

// A small machine takes memory page by page: idle sandboxes are counted by the hundred. What a
// machine has beyond this is for work, and the host's own policy for huge pages is right for it.
constexpr uint64_t kSmallPagesBytes = 128ULL << 20U;

// Linux puts the descriptions of all its pages (1/64 of memory), hash tables and per-CPU areas at
// the end of the memory below 4 GiB, and writes all of it while it boots.
constexpr uint64_t kPageDescriptorShare = 64;
constexpr uint64_t kTopTablesBytes = 2ULL << 20U;

GuestRange Between(uint64_t start, uint64_t end) {
  return GuestRange::Make(GuestAddress(start), end > start ? end - start : 0)
      .value_or(GuestRange());
}

GuestRange WholePages(uint64_t start, uint64_t end) {
  return Between(start / kPage * kPage, (end + kPage - 1) / kPage * kPage);
}

// The huge pages that lie inside.
GuestRange HugePagesIn(uint64_t start, uint64_t end) {
  return Between((start + kHugePage - 1) / kHugePage * kHugePage, end / kHugePage * kHugePage);
}

GuestRange FromFile(const ElfKernel::Segment& segment) {
  const uint64_t start = segment.address.value();
  return WholePages(start, start + segment.file_bytes);
}

void Add(std::vector<MemoryHint>& hints, const GuestRange& range, GuestMemory::Hint hint) {
  if (!range.empty()) hints.push_back({.range = range, .hint = hint});
}

}  // namespace

std::vector<MemoryHint> PlanPages(const std::vector<GuestRange>& ram,
                                  const std::vector<ElfKernel::Segment>& kernel) {
  std::vector<MemoryHint> hints;
  const uint64_t low_end = ram.front().end().value();
  uint64_t total_bytes = 0;
  for (const GuestRange& range : ram) total_bytes += range.size_bytes();
  Add(hints, Between(0, std::min(low_end, kSmallPagesBytes)), GuestMemory::Hint::kSmallPages);
  for (const ElfKernel::Segment& segment : kernel) {
    // .bss, which the kernel clears.
    const GuestRange huge = HugePagesIn(FromFile(segment).end().value(),
                                        segment.address.value() + segment.memory_bytes);
    Add(hints, huge, GuestMemory::Hint::kHugePages);
  }
  const uint64_t top_bytes =
      std::min(total_bytes / kPageDescriptorShare + kTopTablesBytes, low_end / 4);
  Add(hints, HugePagesIn(low_end - top_bytes, low_end), GuestMemory::Hint::kHugePages);
  return hints;
}

std::vector<MemoryHint> PlanWarmUp(const std::vector<ElfKernel::Segment>& kernel,
                                   const GuestRange& boot_data) {
  std::vector<MemoryHint> hints;
  Add(hints, WholePages(boot_data.start().value(), boot_data.end().value()),
      GuestMemory::Hint::kWriteSoon);
  for (const ElfKernel::Segment& segment : kernel) {
    Add(hints, FromFile(segment),
        segment.writable ? GuestMemory::Hint::kWriteSoon : GuestMemory::Hint::kReadSoon);
  }
  return hints;
}

Status WarmUp(const std::vector<MemoryHint>& hints, const GuestMemory& memory, Vcpu& vcpu) {
  for (const MemoryHint& hint : hints) {
    memory.Advise(hint.range, hint.hint);
    HULL_TRY(vcpu.Prefault(hint.range));
  }
  return {};
}

}  // namespace hull
