// ElfKernel: an uncompressed Linux kernel (ELF, vmlinux) and its way into guest memory.
//
// What the guest only reads is mapped from the file, and so shared by all VMs through the host's
// page cache. What it writes while it boots (data) is copied: one fault for each page, with the
// copy inside it, would cost much more. The file is the operator's, but a wrong one is a usual
// mistake: every number in it is checked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/memory/guest_memory.h"

namespace hull {

class ElfKernel {
 public:
  struct Segment {
    GuestAddress address;       // physical; page-aligned
    uint64_t file_offset = 0;   // page-aligned
    uint64_t file_bytes = 0;    // from the file
    uint64_t memory_bytes = 0;  // the rest, behind them, is zero
    bool writable = false;      // the kernel writes there while it boots
  };

  // Opens and checks the file. kInvalidArgument says what is wrong with it; `elf_machine` is the
  // EM_ number that the guest's processor runs.
  static Result<ElfKernel> Open(const std::string& path, uint16_t elf_machine);

  // What becomes of segments that the kernel only reads.
  enum class ReadOnlySegments {
    kMapped,  // shared with other VMs, page by page
    kCopied,  // where every page is to be the VM's own anyway
  };
  // Maps or copies all segments. Errors: kExhausted when the kernel does not fit into the guest's
  // memory.
  Status Load(GuestMemory& memory, ReadOnlySegments read_only = ReadOnlySegments::kMapped) const;

  // Where it wants to be entered: the physical address of its 64-bit entry.
  GuestAddress entry() const { return entry_; }
  // By address, none overlapping another, not even in a page; never empty.
  const std::vector<Segment>& segments() const { return segments_; }
  // One past the last byte that it occupies.
  GuestAddress end() const;

 private:
  ElfKernel(std::string path, UniqueFd fd, GuestAddress entry, std::vector<Segment> segments)
      : path_(std::move(path)), fd_(std::move(fd)), entry_(entry), segments_(std::move(segments)) {}

  std::string path_;
  UniqueFd fd_;
  GuestAddress entry_;
  std::vector<Segment> segments_;
};

}  // namespace hull
