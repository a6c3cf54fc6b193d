#include "vmm/memory/give_back.h"

#include <sys/mman.h>

#include <span>

#include "vmm/memory/guest_memory.h"

namespace hull {
namespace {

constexpr uintptr_t kPageMask = GuestMemory::kPageBytes - 1;

}  // namespace

uint64_t GiveBack(const IoVectors& pieces) {
  uint64_t given_bytes = 0;
  for (const iovec& piece : std::span(pieces.data(), pieces.count())) {
    // SAFETY: only the arithmetic is done here, inside a mapping that GuestMemory has checked; the
    // pointer is the kernel's to follow.
    const auto start = reinterpret_cast<uintptr_t>(piece.iov_base);
    const uintptr_t first = (start + kPageMask) & ~kPageMask;
    const uintptr_t end = (start + piece.iov_len) & ~kPageMask;
    if (first >= end) continue;
    if (::madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED) == 0) {
      given_bytes += end - first;
    }
  }
  return given_bytes;
}

}  // namespace hull
