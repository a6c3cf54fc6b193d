// The disk of a container's writable layer: a sparse file with an empty ext4.
//
// mkfs.ext4 runs once for each size and kind; its result is kept as a template and cloned, holes
// kept, which writes some 200 KiB instead of starting a program.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/host_layout.h"
#include "vmm/base/result.h"

namespace hull {

inline constexpr uint64_t kDefaultScratchBytes = 10ULL << 30;
inline constexpr uint64_t kMinScratchBytes = 16ULL << 20;

enum class ScratchKind {
  kThrowaway,  // no journal: the disk never outlives its virtual machine
  kKept,       // with a journal: survives its virtual machine's sudden end
};

// Makes `path`, which must not exist, `size_bytes` large. Errors: kNotFound when the template must
// be made and mkfs.ext4 is missing; kExhausted when the disk is full.
Status MakeScratchDisk(const HostLayout& layout, const std::string& path, uint64_t size_bytes,
                       ScratchKind kind);

// Copies `from` to the new, empty file `to`: holes stay holes. `skip_zeros`: blocks of zeros become
// holes too.
enum class Zeros { kCopy, kSkip };
Status CopySparse(int from, int to, Zeros zeros);

}  // namespace hull
