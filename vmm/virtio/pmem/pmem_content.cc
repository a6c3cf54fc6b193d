#include "vmm/virtio/pmem/pmem_content.h"

namespace hull {
namespace {

// Where a piece of the range begins in guest memory; it must lie whole in the range.
Result<GuestAddress> Place(const GuestRange& range, uint64_t offset_bytes, uint64_t size_bytes) {
  if (offset_bytes > range.size_bytes() || size_bytes > range.size_bytes() - offset_bytes) {
    return Fail(ErrorCode::kInvalidArgument, "{} bytes at {} of a pmem range of {}", size_bytes,
                offset_bytes, range.size_bytes());
  }
  return GuestAddress(range.start().value() + offset_bytes);
}

}  // namespace

Result<GuestRange> PmemContent::MapInto(GuestMemory& memory, GuestAddress start) const {
  const std::optional<GuestRange> range = GuestRange::Make(start, size_bytes);
  if (!range || size_bytes % kSizeUnitBytes != 0) {
    return Fail(ErrorCode::kInvalidArgument, "a pmem range of {} bytes at {:#x}", size_bytes,
                start.value());
  }
  HULL_TRY(memory.AddRegion(*range, GuestAccess::kReadOnly));
  for (const File& file : files) {
    HULL_ASSIGN(const GuestAddress at, Place(*range, file.offset_bytes, file.size_bytes));
    HULL_TRY(memory.MapFile(at, file.fd, 0, file.size_bytes));
  }
  for (const Filling& filling : fillings) {
    HULL_ASSIGN(const GuestAddress at, Place(*range, filling.offset_bytes, filling.data.size()));
    HULL_TRY(memory.Initialize(at, filling.data));
  }
  return *range;
}

}  // namespace hull
