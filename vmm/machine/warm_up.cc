#include "vmm/machine/warm_up.h"

#include <algorithm>

namespace hull {
namespace {

constexpr uint64_t kPage = GuestMemory::kPageBytes;
constexpr uint64_t kHugePage = 2ULL << 20U;

// A small machine takes memory page by page: idle sandboxes are counted by the hundred. What a
// machine has beyond this is for work, and the host's own policy for huge pages is right for it.
constexpr uint64_t kSmallPagesBytes = 128ULL << 20U;

// Linux puts the descriptions of all its pages (1/64 of memory) near the end of the memory below 4
// GiB, and writes all of them while it boots.
constexpr uint64_t kPageDescriptorShare = 64;

// A small machine has all its memory in one zone, and Linux takes what it allocates first from
// below its own image: the first 2 MiB and these.
constexpr uint64_t kSmallMachineBytes = 256ULL << 20U;
constexpr uint64_t kFirstPages = 8ULL << 20U;
constexpr uint64_t kFirstPagesBytes = 4ULL << 20U;

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

GuestRange MappedFromFile(const ElfKernel::Segment& segment) {
  const uint64_t start = segment.address.value();
  return WholePages(start, start + segment.file_bytes);
}

void Add(std::vector<MemoryHint>& hints, const GuestRange& range, GuestMemory::Hint hint) {
  if (!range.empty()) hints.push_back({.range = range, .hint = hint});
}

// Data and .bss: the kernel writes nearly all of it. Segments follow each other, so whole huge
// pages are looked for from the end of what is mapped from the file.
void AddWrittenSegments(std::vector<MemoryHint>& hints,
                        const std::vector<ElfKernel::Segment>& kernel) {
  uint64_t mapped_end = 0;
  uint64_t written_start = UINT64_MAX;
  uint64_t written_end = 0;
  for (const ElfKernel::Segment& segment : kernel) {
    const uint64_t start = segment.address.value();
    if (!segment.writable) {
      mapped_end = std::max(mapped_end, MappedFromFile(segment).end().value());
    } else {
      written_start = std::min(written_start, start);
      written_end = std::max(written_end, start + segment.memory_bytes);
    }
  }
  if (written_start < mapped_end || written_start > written_end) return;
  Add(hints, HugePagesIn(std::max(mapped_end, written_start / kHugePage * kHugePage), written_end),
      GuestMemory::Hint::kHugePages);
}

}  // namespace

std::vector<MemoryHint> PlanPages(const std::vector<GuestRange>& ram,
                                  const std::vector<ElfKernel::Segment>& kernel) {
  std::vector<MemoryHint> hints;
  const uint64_t low_end = ram.front().end().value();
  uint64_t total_bytes = 0;
  for (const GuestRange& range : ram) total_bytes += range.size_bytes();
  Add(hints, Between(0, std::min(low_end, kSmallPagesBytes)), GuestMemory::Hint::kSmallPages);
  AddWrittenSegments(hints, kernel);
  if (low_end <= kSmallMachineBytes) {
    Add(hints, Between(0, kHugePage), GuestMemory::Hint::kHugePages);
    Add(hints, Between(kFirstPages, kFirstPages + kFirstPagesBytes), GuestMemory::Hint::kHugePages);
  }
  // The last huge page is shared by small tables, most of it unused: the descriptions lie below it.
  const uint64_t descriptors_bytes = total_bytes / kPageDescriptorShare;
  const uint64_t top = (low_end - 1) / kHugePage * kHugePage;
  if (descriptors_bytes < top / 4) {
    Add(hints, HugePagesIn(top - descriptors_bytes, top), GuestMemory::Hint::kHugePages);
  }
  return hints;
}

std::vector<MemoryHint> PlanWarmUp(const std::vector<ElfKernel::Segment>& kernel,
                                   const GuestRange& boot_data) {
  std::vector<MemoryHint> hints;
  Add(hints, WholePages(boot_data.start().value(), boot_data.end().value()),
      GuestMemory::Hint::kWriteSoon);
  for (const ElfKernel::Segment& segment : kernel) {
    // The others are there already: copied (ElfKernel::Load).
    if (!segment.writable) {
      Add(hints, MappedFromFile(segment), GuestMemory::Hint::kReadSoon);
    }
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
