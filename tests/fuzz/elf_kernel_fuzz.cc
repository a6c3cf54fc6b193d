// A kernel file: its headers, and its segments in a small machine's memory.
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "vmm/base/check.h"
#include "vmm/base/unique_fd.h"
#include "vmm/boot/elf_kernel.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hull;
  constexpr uint64_t kMemoryBytes = 64U << 20U;
  const UniqueFd file(::memfd_create("kernel", MFD_CLOEXEC));
  if (::write(file.get(), data, size) != static_cast<ssize_t>(size)) return 0;
  const auto kernel = ElfKernel::Open(fmt::format("/proc/self/fd/{}", file.get()), EM_X86_64);
  if (!kernel) return 0;
  HULL_CHECK(!kernel->segments().empty());
  uint64_t end = 0;
  bool holds_entry = false;
  for (const ElfKernel::Segment& segment : kernel->segments()) {
    const uint64_t start = segment.address.value();
    HULL_CHECK(start >= end && start % GuestMemory::kPageBytes == 0);
    HULL_CHECK(segment.file_bytes <= segment.memory_bytes && segment.file_bytes <= size);
    end = start + segment.memory_bytes;
    const uint64_t entry = kernel->entry().value();
    holds_entry = holds_entry || (entry >= start && entry < end);
  }
  HULL_CHECK(holds_entry && kernel->end().value() == end);
  GuestMemory memory;
  HULL_CHECK(
      memory.AddRegion(*GuestRange::Make(GuestAddress(0), kMemoryBytes), GuestAccess::kReadWrite)
          .has_value());
  const Status loaded = kernel->Load(memory);
  HULL_CHECK(loaded.has_value() == (end <= kMemoryBytes));
  return 0;
}
