#include "vmm/boot/elf_kernel.h"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "vmm/base/checked.h"
#include "vmm/base/file.h"

namespace hull {
namespace {

constexpr uint64_t kPage = GuestMemory::kPageBytes;
constexpr size_t kMaxProgramHeaders = 64;

// Segments as a loader sees them must stay below this, so that no sum below can wrap.
constexpr uint64_t kMaxAddress = 1ULL << 52U;

Status ReadAt(int fd, uint64_t offset, std::span<std::byte> out) {
  const ssize_t count = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
  if (count < 0) return FailErrno("read");
  if (static_cast<size_t>(count) < out.size()) {
    return Fail(ErrorCode::kInvalidArgument, "the file is cut short");
  }
  return {};
}

Status CheckHeader(const Elf64_Ehdr& header, uint16_t elf_machine) {
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    const auto* bytes = reinterpret_cast<const char*>(header.e_ident);
    const bool is_pe = bytes[0] == 'M' && bytes[1] == 'Z';
    return Fail(Error(ErrorCode::kInvalidArgument, "not an ELF file")
                    .WithHint(is_pe
                                  ? "this is a compressed kernel (bzImage); hull needs its vmlinux"
                                  : "hull needs an uncompressed kernel (vmlinux)"));
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return Fail(ErrorCode::kInvalidArgument, "not a 64-bit little-endian ELF file");
  }
  if (header.e_machine != elf_machine) {
    return Fail(ErrorCode::kInvalidArgument, "made for another processor (ELF machine {}, not {})",
                header.e_machine, elf_machine);
  }
  if (header.e_type != ET_EXEC) {
    return Fail(ErrorCode::kInvalidArgument,
                "not an executable ELF file (type {}); is it a module?", header.e_type);
  }
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0 ||
      header.e_phnum > kMaxProgramHeaders) {
    return Fail(ErrorCode::kInvalidArgument, "{} program headers of {} bytes", header.e_phnum,
                header.e_phentsize);
  }
  return {};
}

Result<ElfKernel::Segment> CheckSegment(const Elf64_Phdr& header, uint64_t file_bytes) {
  const auto file_end = CheckedAdd<uint64_t>(header.p_offset, header.p_filesz);
  if (!file_end || *file_end > file_bytes) {
    return Fail(ErrorCode::kInvalidArgument, "segment at {:#x} lies past the end of the file",
                header.p_paddr);
  }
  if (header.p_filesz > header.p_memsz || header.p_memsz > kMaxAddress ||
      header.p_paddr > kMaxAddress) {
    return Fail(ErrorCode::kInvalidArgument, "segment at {:#x} has impossible sizes ({:#x}, {:#x})",
                header.p_paddr, header.p_filesz, header.p_memsz);
  }
  if (header.p_paddr % kPage != 0 || header.p_offset % kPage != 0) {
    return Fail(ErrorCode::kInvalidArgument,
                "segment at {:#x} is not page-aligned in memory and file (offset {:#x})",
                header.p_paddr, header.p_offset);
  }
  return ElfKernel::Segment{.address = GuestAddress(header.p_paddr),
                            .file_offset = header.p_offset,
                            .file_bytes = header.p_filesz,
                            .memory_bytes = header.p_memsz,
                            .writable = (header.p_flags & PF_W) != 0};
}

uint64_t EndPage(const ElfKernel::Segment& segment) {
  return (segment.address.value() + segment.memory_bytes + kPage - 1) / kPage * kPage;
}

// Sorted; refused when two share a page, since each page has one mapping.
Status SortSegments(std::vector<ElfKernel::Segment>& segments) {
  std::sort(segments.begin(), segments.end(),
            [](const auto& a, const auto& b) { return a.address < b.address; });
  for (size_t i = 1; i < segments.size(); ++i) {
    if (EndPage(segments[i - 1]) > segments[i].address.value()) {
      return Fail(ErrorCode::kInvalidArgument, "segments at {:#x} and {:#x} overlap",
                  segments[i - 1].address.value(), segments[i].address.value());
    }
  }
  return {};
}

bool HoldsEntry(const std::vector<ElfKernel::Segment>& segments, uint64_t entry) {
  return std::any_of(segments.begin(), segments.end(), [entry](const auto& segment) {
    return entry >= segment.address.value() && entry - segment.address.value() < segment.file_bytes;
  });
}

struct Contents {
  GuestAddress entry;
  std::vector<ElfKernel::Segment> segments;
};

Result<Contents> ReadHeaders(int fd, uint16_t elf_machine) {
  HULL_ASSIGN(const uint64_t file_bytes, FileSizeBytes(fd, "the file"));
  Elf64_Ehdr header = {};
  HULL_TRY(ReadAt(fd, 0, std::as_writable_bytes(std::span(&header, 1))));
  HULL_TRY(CheckHeader(header, elf_machine));
  std::array<Elf64_Phdr, kMaxProgramHeaders> programs = {};
  HULL_TRY(ReadAt(fd, header.e_phoff,
                  std::as_writable_bytes(std::span(programs).first(header.e_phnum))));
  Contents contents;
  for (const Elf64_Phdr& program : std::span(programs).first(header.e_phnum)) {
    if (program.p_type != PT_LOAD || program.p_memsz == 0) continue;
    HULL_ASSIGN(ElfKernel::Segment segment, CheckSegment(program, file_bytes));
    contents.segments.push_back(segment);
  }
  HULL_TRY(SortSegments(contents.segments));
  if (!HoldsEntry(contents.segments, header.e_entry)) {
    return Fail(ErrorCode::kInvalidArgument, "its entry {:#x} is in none of its segments",
                header.e_entry);
  }
  contents.entry = GuestAddress(header.e_entry);
  return contents;
}

}  // namespace

Result<ElfKernel> ElfKernel::Open(const std::string& path, uint16_t elf_machine) {
  HULL_ASSIGN(UniqueFd fd, OpenFile(path, O_RDONLY));
  HULL_ASSIGN_WITHIN(path, Contents contents, ReadHeaders(fd.get(), elf_machine));
  return ElfKernel(path, std::move(fd), contents.entry, std::move(contents.segments));
}

GuestAddress ElfKernel::end() const {
  const Segment& last = segments_.back();
  return GuestAddress(last.address.value() + last.memory_bytes);
}

Status ElfKernel::Load(GuestMemory& memory, ReadOnlySegments read_only) const {
  static constexpr std::array<std::byte, kPage> kZeroes = {};
  for (const Segment& segment : segments_) {
    if (!memory.Writable(segment.address, segment.memory_bytes)) {
      return Fail(
          Error(ErrorCode::kExhausted,
                fmt::format("{}: its segment at {:#x} ({} bytes) does not fit into the guest's "
                            "memory",
                            path_, segment.address.value(), segment.memory_bytes))
              .WithHint("give the machine more memory"));
    }
    if (segment.file_bytes == 0) continue;
    if (segment.writable || read_only == ReadOnlySegments::kCopied) {
      HULL_TRY_WITHIN(path_, memory.CopyFile(segment.address, fd_.get(), segment.file_offset,
                                             segment.file_bytes));
      continue;
    }
    HULL_TRY_WITHIN(
        path_, memory.MapFile(segment.address, fd_.get(), segment.file_offset, segment.file_bytes));
    // The last page shows what follows in the file; the kernel expects zeroes there (.bss).
    const uint64_t used = segment.file_bytes % kPage;
    const uint64_t gap =
        std::min(segment.memory_bytes - segment.file_bytes, used == 0 ? 0 : kPage - used);
    if (gap == 0) continue;
    const GuestAddress tail(segment.address.value() + segment.file_bytes);
    if (!memory.Write(tail, std::span(kZeroes).first(gap))) {
      return Fail(ErrorCode::kFailed, "{}: cannot clear {:#x}", path_, tail.value());
    }
  }
  return {};
}

}  // namespace hull
