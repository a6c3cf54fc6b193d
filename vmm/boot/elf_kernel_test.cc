#include "vmm/boot/elf_kernel.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>

namespace hull {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kMiB = 1U << 20U;

// A kernel in memory: headers in page 0, text in page 1, data (with .bss behind it) in page 2.
struct Image {
  Elf64_Ehdr header = {};
  Elf64_Phdr programs[3] = {};
  std::string text = std::string(kPage, 'T');
  std::string data = std::string(kPage, 'D');
  size_t cut_bytes = 0;

  Image() {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_entry = 16 * kMiB + 0x100;
    header.e_phoff = sizeof(header);
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = 3;
    programs[0] = {.p_type = PT_LOAD,
                   .p_flags = PF_R | PF_X,
                   .p_offset = kPage,
                   .p_vaddr = 0,
                   .p_paddr = 16 * kMiB,
                   .p_filesz = kPage,
                   .p_memsz = kPage,
                   .p_align = kPage};
    programs[1] = {.p_type = PT_NOTE,
                   .p_flags = PF_R,
                   .p_offset = 1,
                   .p_vaddr = 0,
                   .p_paddr = 1,
                   .p_filesz = 1,
                   .p_memsz = 1,
                   .p_align = 1};
    programs[2] = {.p_type = PT_LOAD,
                   .p_flags = PF_R | PF_W,
                   .p_offset = 2 * kPage,
                   .p_vaddr = 0,
                   .p_paddr = 17 * kMiB,
                   .p_filesz = 100,
                   .p_memsz = 3 * kPage,
                   .p_align = kPage};
  }

  // The path of a file with this content; it lives as long as `fd`.
  std::string Write(UniqueFd& fd) const {
    std::string bytes(kPage, '\0');
    std::memcpy(bytes.data(), &header, sizeof(header));
    std::memcpy(bytes.data() + sizeof(header), programs, sizeof(programs));
    bytes += text + data;
    bytes.resize(bytes.size() - cut_bytes);
    fd.Reset(::memfd_create("kernel", MFD_CLOEXEC));
    EXPECT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    return fmt::format("/proc/self/fd/{}", fd.get());
  }
};

Result<ElfKernel> OpenImage(const Image& image) {
  UniqueFd fd;
  return ElfKernel::Open(image.Write(fd), EM_X86_64);
}

std::string Read(const GuestMemory& memory, uint64_t address, size_t size) {
  std::string bytes(size, '?');
  EXPECT_TRUE(memory.Read(GuestAddress(address), std::as_writable_bytes(std::span(bytes))));
  return bytes;
}

TEST(ElfKernelTest, SegmentsAppearAtTheirAddressesWithZeroesBehind) {
  GuestMemory memory;
  ASSERT_TRUE(
      memory.AddRegion(*GuestRange::Make(GuestAddress(0), 32 * kMiB), GuestAccess::kReadWrite));
  auto kernel = OpenImage({});
  ASSERT_TRUE(kernel.has_value()) << kernel.error().ToString();
  EXPECT_EQ(kernel->entry().value(), 16 * kMiB + 0x100);
  EXPECT_EQ(kernel->segments().size(), 2U);
  EXPECT_EQ(kernel->end().value(), 17 * kMiB + 3 * kPage);
  const Status loaded = kernel->Load(memory);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().ToString();
  EXPECT_EQ(Read(memory, 16 * kMiB, kPage), std::string(kPage, 'T'));
  EXPECT_EQ(Read(memory, 17 * kMiB, kPage), std::string(100, 'D') + std::string(kPage - 100, '\0'));
  EXPECT_EQ(Read(memory, 17 * kMiB + kPage, kPage), std::string(kPage, '\0'));
}

TEST(ElfKernelTest, GuestsWritesDoNotReachTheFile) {
  UniqueFd fd;
  const std::string path = Image().Write(fd);
  GuestMemory memory;
  ASSERT_TRUE(
      memory.AddRegion(*GuestRange::Make(GuestAddress(0), 32 * kMiB), GuestAccess::kReadWrite));
  ASSERT_TRUE(ElfKernel::Open(path, EM_X86_64)->Load(memory));
  ASSERT_TRUE(memory.WriteObject(GuestAddress(16 * kMiB), uint32_t{0}));
  char first = 0;
  ASSERT_EQ(::pread(fd.get(), &first, 1, kPage), 1);
  EXPECT_EQ(first, 'T');
}

TEST(ElfKernelTest, KernelBeyondTheMemoryIsRefused) {
  GuestMemory memory;
  ASSERT_TRUE(memory.AddRegion(*GuestRange::Make(GuestAddress(0), 17 * kMiB + kPage),
                               GuestAccess::kReadWrite));
  const Status loaded = OpenImage({})->Load(memory);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().code(), ErrorCode::kExhausted);
  EXPECT_EQ(loaded.error().hint(), "give the machine more memory");
}

TEST(ElfKernelTest, WrongFilesAreRefusedWithTheReason) {
  struct Case {
    const char* message;
    std::function<void(Image&)> spoil;
  };
  const Case cases[] = {
      {"not an ELF file", [](Image& i) { i.header.e_ident[0] = 'M'; }},
      {"not a 64-bit", [](Image& i) { i.header.e_ident[EI_CLASS] = ELFCLASS32; }},
      {"not a 64-bit", [](Image& i) { i.header.e_ident[EI_DATA] = ELFDATA2MSB; }},
      {"another processor", [](Image& i) { i.header.e_machine = EM_AARCH64; }},
      {"not an executable", [](Image& i) { i.header.e_type = ET_REL; }},
      {"0 program headers", [](Image& i) { i.header.e_phnum = 0; }},
      {"65 program headers", [](Image& i) { i.header.e_phnum = 65; }},
      {"program headers of 32 bytes", [](Image& i) { i.header.e_phentsize = 32; }},
      {"cut short", [](Image& i) { i.header.e_phoff = 3 * kPage - 10; }},
      {"read: Invalid argument", [](Image& i) { i.header.e_phoff = UINT64_MAX - 10; }},
      {"past the end of the file", [](Image& i) { i.cut_bytes = kPage; }},
      {"past the end of the file", [](Image& i) { i.programs[0].p_offset = UINT64_MAX - 100; }},
      {"impossible sizes", [](Image& i) { i.programs[0].p_filesz = i.programs[0].p_memsz + 1; }},
      {"impossible sizes", [](Image& i) { i.programs[0].p_paddr = UINT64_MAX - kPage + 1; }},
      {"impossible sizes", [](Image& i) { i.programs[2].p_memsz = UINT64_MAX; }},
      {"not page-aligned", [](Image& i) { i.programs[0].p_offset += 1; }},
      {"not page-aligned", [](Image& i) { i.programs[0].p_paddr += 1; }},
      {"overlap", [](Image& i) { i.programs[2].p_paddr = 16 * kMiB; }},
      {"overlap", [](Image& i) { i.programs[0].p_memsz = 2 * kMiB; }},
      {"entry 0x1 is in none", [](Image& i) { i.header.e_entry = 1; }},
      {"is in none", [](Image& i) { i.header.e_entry = 17 * kMiB + kPage; }},  // .bss
      {"is in none", [](Image& i) { i.programs[0].p_type = i.programs[2].p_type = PT_NOTE; }},
  };
  for (const Case& c : cases) {
    Image image;
    c.spoil(image);
    const auto kernel = OpenImage(image);
    ASSERT_FALSE(kernel.has_value()) << c.message;
    EXPECT_NE(kernel.error().ToString().find(c.message), std::string::npos)
        << kernel.error().ToString() << "\n  not: " << c.message;
  }
}

TEST(ElfKernelTest, CompressedKernelIsNamedAsSuch) {
  Image image;
  image.header.e_ident[0] = 'M';
  image.header.e_ident[1] = 'Z';
  EXPECT_NE(OpenImage(image).error().hint().find("bzImage"), std::string::npos);
}

TEST(ElfKernelTest, EmptyFileIsCutShort) {
  UniqueFd fd(::memfd_create("empty", MFD_CLOEXEC));
  const auto kernel = ElfKernel::Open(fmt::format("/proc/self/fd/{}", fd.get()), EM_X86_64);
  ASSERT_FALSE(kernel.has_value());
  EXPECT_NE(kernel.error().ToString().find("cut short"), std::string::npos);
}

}  // namespace
}  // namespace hull
