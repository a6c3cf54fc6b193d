#include "vmm/memory/guest_memory.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "vmm/base/checked.h"

namespace hull {
namespace {

constexpr uint64_t kHugePageBytes = uint64_t{2} * 1024 * 1024;

struct HostPiece {
  std::byte* data;
  uint64_t size_bytes;
};

void Unmap(HostPiece piece) {
  // Fails only for a range that was never mapped.
  if (piece.size_bytes != 0) ::munmap(piece.data, piece.size_bytes);
}

// Zeroes at a host address that is congruent to `guest_start` modulo the size of a huge page.
Result<std::byte*> MapAnonymous(GuestAddress guest_start, uint64_t size_bytes) {
  const uint64_t slack_bytes = size_bytes >= kHugePageBytes ? kHugePageBytes : 0;
  const std::optional<uint64_t> total_bytes = CheckedAdd(size_bytes, slack_bytes);
  if (!total_bytes) return Fail(ErrorCode::kInvalidArgument, "{} bytes of memory", size_bytes);
  void* const mapped = ::mmap(nullptr, *total_bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return FailErrno("map {} bytes of guest memory", size_bytes);
  // SAFETY: all arithmetic stays inside the mapping just made.
  auto* const first = static_cast<std::byte*>(mapped);
  const uint64_t skip_bytes =
      slack_bytes == 0
          ? 0
          : (guest_start.value() - reinterpret_cast<uintptr_t>(first)) & (kHugePageBytes - 1);
  Unmap({first, skip_bytes});
  Unmap({first + skip_bytes + size_bytes, slack_bytes - skip_bytes});
  return first + skip_bytes;
}

int AdviceFor(GuestMemory::Hint hint) {
  switch (hint) {
    case GuestMemory::Hint::kSmallPages:
      return MADV_NOHUGEPAGE;
    case GuestMemory::Hint::kHugePages:
      return MADV_HUGEPAGE;
    case GuestMemory::Hint::kReadSoon:
      return MADV_POPULATE_READ;
    case GuestMemory::Hint::kWriteSoon:
      break;
  }
  return MADV_POPULATE_WRITE;
}

}  // namespace

GuestMemory::~GuestMemory() {
  for (const Region& region : regions_) Unmap({region.data, region.range.size_bytes()});
}

Status GuestMemory::AddRegion(const GuestRange& range, GuestAccess access) {
  if (range.empty() || !range.start().IsAligned(kPageBytes) || !range.end().IsAligned(kPageBytes)) {
    return Fail(ErrorCode::kInvalidArgument, "guest memory at {:#x} of {} bytes is not whole pages",
                range.start().value(), range.size_bytes());
  }
  for (const Region& region : regions_) {
    if (region.range.Overlaps(range)) {
      return Fail(ErrorCode::kInvalidArgument, "guest memory at {:#x} overlaps that at {:#x}",
                  range.start().value(), region.range.start().value());
    }
  }
  HULL_ASSIGN(std::byte* const data, MapAnonymous(range.start(), range.size_bytes()));
  // Its content is the guest's secret; without it a core dump of the VMM stays small. Not vital.
  ::madvise(data, range.size_bytes(), MADV_DONTDUMP);
  const auto place = std::ranges::upper_bound(
      regions_, range.start(), {}, [](const Region& region) { return region.range.start(); });
  regions_.insert(place, Region{range, access, data});
  return {};
}

Status GuestMemory::MapFile(GuestAddress at, int fd, uint64_t file_offset, uint64_t size_bytes) {
  const Region* const region = Find(at, size_bytes);
  if (region == nullptr || size_bytes == 0) {
    return Fail(ErrorCode::kInvalidArgument, "no guest memory at {:#x} for {} bytes of a file",
                at.value(), size_bytes);
  }
  if (!at.IsAligned(kPageBytes) || file_offset % kPageBytes != 0) {
    return Fail(ErrorCode::kInvalidArgument, "a file cannot be mapped from {:#x} to {:#x}",
                file_offset, at.value());
  }
  struct stat info = {};
  if (::fstat(fd, &info) != 0) return FailErrno("stat the file to map");
  const auto file_bytes = static_cast<uint64_t>(info.st_size);
  // Pages behind the end of a file would kill whoever touches them.
  if (file_offset > file_bytes || size_bytes > file_bytes - file_offset) {
    return Fail(ErrorCode::kInvalidArgument, "{} bytes at {} of a file that has {}", size_bytes,
                file_offset, file_bytes);
  }
  // Regions end on a page, so rounding up stays inside.
  const uint64_t mapped_bytes = (size_bytes + kPageBytes - 1) & ~(kPageBytes - 1);
  const bool is_shared = region->access == GuestAccess::kReadOnly;
  const int protection = is_shared ? PROT_READ : PROT_READ | PROT_WRITE;
  const int flags = MAP_FIXED | (is_shared ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE);
  std::byte* const data = region->data + (at.value() - region->range.start().value());
  if (::mmap(data, mapped_bytes, protection, flags, fd, static_cast<off_t>(file_offset)) ==
      MAP_FAILED) {
    return FailErrno("map {} bytes of a file", size_bytes);
  }
  if (is_shared) shared_files_.push_back(GuestRange::Make(at, mapped_bytes).value_or(GuestRange()));
  return {};
}

Status GuestMemory::CopyFile(GuestAddress at, int fd, uint64_t file_offset, uint64_t size_bytes) {
  const Region* const region = Find(at, size_bytes);
  if (region == nullptr || region->access != GuestAccess::kReadWrite) {
    return Fail(ErrorCode::kInvalidArgument, "no guest memory at {:#x} for {} bytes of a file",
                at.value(), size_bytes);
  }
  std::byte* const data = region->data + (at.value() - region->range.start().value());
  for (uint64_t done = 0; done < size_bytes;) {
    const ssize_t count =
        ::pread(fd, data + done, size_bytes - done, static_cast<off_t>(file_offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FailErrno("read {} bytes of a file", size_bytes);
    if (count == 0) {
      return Fail(ErrorCode::kInvalidArgument, "the file ends before {}", file_offset + size_bytes);
    }
    done += static_cast<uint64_t>(count);
  }
  return {};
}

Status GuestMemory::Initialize(GuestAddress at, std::span<const std::byte> data) {
  const Region* const region = Find(at, data.size());
  if (region == nullptr) {
    return Fail(ErrorCode::kInvalidArgument, "no guest memory at {:#x} for {} bytes", at.value(),
                data.size());
  }
  const GuestRange range = GuestRange::Make(at, data.size()).value_or(GuestRange());
  if (std::ranges::any_of(shared_files_,
                          [&](const GuestRange& file) { return file.Overlaps(range); })) {
    return Fail(ErrorCode::kInvalidArgument, "at {:#x} a file is mapped read-only", at.value());
  }
  GuestSlice(region->data, region->range.size_bytes(), true)
      .Write(at.value() - region->range.start().value(), data);
  return {};
}

void GuestMemory::Advise(const GuestRange& range, Hint hint) const {
  const Region* const region = Find(range.start(), range.size_bytes());
  if (region == nullptr || range.empty()) return;
  // A hint that is refused changes nothing that anybody could see.
  ::madvise(region->data + (range.start().value() - region->range.start().value()),
            range.size_bytes(), AdviceFor(hint));
}

uint64_t GuestMemory::ram_bytes() const {
  uint64_t sum = 0;
  for (const Region& region : regions_) {
    if (region.access == GuestAccess::kReadWrite) sum += region.range.size_bytes();
  }
  return sum;
}

GuestAddress GuestMemory::end() const {
  return regions_.empty() ? GuestAddress() : regions_.back().range.end();
}

std::optional<GuestSlice> GuestMemory::Readable(GuestAddress at, uint64_t size_bytes) const {
  const Region* const region = Find(at, size_bytes);
  if (region == nullptr || size_bytes == 0) return std::nullopt;
  return GuestSlice(region->data + (at.value() - region->range.start().value()), size_bytes, false);
}

std::optional<GuestSlice> GuestMemory::Writable(GuestAddress at, uint64_t size_bytes) const {
  const Region* const region = Find(at, size_bytes);
  if (region == nullptr || size_bytes == 0 || region->access != GuestAccess::kReadWrite) {
    return std::nullopt;
  }
  return GuestSlice(region->data + (at.value() - region->range.start().value()), size_bytes, true);
}

bool GuestMemory::Read(GuestAddress at, std::span<std::byte> out) const {
  if (out.empty()) return true;
  const std::optional<GuestSlice> slice = Readable(at, out.size());
  if (slice) slice->Read(0, out);
  return slice.has_value();
}

bool GuestMemory::Write(GuestAddress at, std::span<const std::byte> data) const {
  if (data.empty()) return true;
  const std::optional<GuestSlice> slice = Writable(at, data.size());
  if (slice) slice->Write(0, data);
  return slice.has_value();
}

const GuestMemory::Region* GuestMemory::Find(GuestAddress at, uint64_t size_bytes) const {
  for (const Region& region : regions_) {
    if (!region.range.Contains(at)) continue;
    const uint64_t offset = at.value() - region.range.start().value();
    return size_bytes <= region.range.size_bytes() - offset ? &region : nullptr;
  }
  return nullptr;
}

}  // namespace hull
