#include "vmm/boot/boot_params.h"

#include <asm/bootparam.h>

#include <algorithm>
#include <cstring>

#include "vmm/base/check.h"
#include "vmm/boot/command_line.h"

namespace hull {
namespace {

constexpr uint16_t kBootFlag = 0xaa55;
constexpr uint32_t kHeaderMagic = 0x5372'6448;  // "HdrS"
constexpr uint16_t kBootProtocol = 0x020f;
constexpr uint8_t kUnknownLoader = 0xff;
// X86_SUBARCH_CE4100: a machine without CMOS clock, keyboard controller, PnP BIOS and BIOS data
// area. Linux asks for none of them then. On 64 bit it means nothing else.
constexpr uint32_t kSubarchCe4100 = 4;
constexpr uint32_t kE820Ram = 1;
constexpr uint32_t kSetupDtb = 2;      // SETUP_DTB
constexpr uint32_t kSetupRngSeed = 9;  // SETUP_RNG_SEED
constexpr uint64_t kSetupAlignment = 16;

// struct setup_data without its trailing array, which C++ does not have.
struct SetupHeader {
  uint64_t next = 0;
  uint32_t type = 0;
  uint32_t size_bytes = 0;
};
static_assert(sizeof(SetupHeader) == 16);
static_assert(sizeof(boot_params) == 4096);

// What is laid out behind the structure: offsets from its start.
struct Layout {
  uint64_t command_line = sizeof(boot_params);
  uint64_t random = command_line + kLinuxCommandLineBytes;
  uint64_t device_tree = random + sizeof(SetupHeader) + kBootRandomBytes;
  static_assert((sizeof(SetupHeader) + kBootRandomBytes) % kSetupAlignment == 0);
  static_assert(kLinuxCommandLineBytes % kSetupAlignment == 0);
};

void Put(std::vector<std::byte>& bytes, uint64_t offset, std::span<const std::byte> data) {
  HULL_CHECK(offset + data.size() <= bytes.size());
  std::copy(data.begin(), data.end(), bytes.begin() + static_cast<ptrdiff_t>(offset));
}

template <typename T>
std::span<const std::byte> BytesOf(const T& object) {
  return std::as_bytes(std::span(&object, 1));
}

Result<boot_params> MakeZeroPage(const BootParamsConfig& config, const Layout& layout) {
  boot_params page = {};
  page.hdr.boot_flag = kBootFlag;
  page.hdr.header = kHeaderMagic;
  page.hdr.version = kBootProtocol;
  page.hdr.type_of_loader = kUnknownLoader;
  page.hdr.loadflags = LOADED_HIGH;
  page.hdr.cmd_line_ptr = static_cast<uint32_t>(config.address.value() + layout.command_line);
  page.hdr.hardware_subarch = kSubarchCe4100;
  page.hdr.setup_data = config.address.value() + layout.random;
  if (config.ram.size() > E820_MAX_ENTRIES_ZEROPAGE) {
    return Fail(ErrorCode::kExhausted, "{} memory ranges are too many", config.ram.size());
  }
  for (const GuestRange& range : config.ram) {
    boot_e820_entry& entry = page.e820_table[page.e820_entries++];
    entry.addr = range.start().value();
    entry.size = range.size_bytes();
    entry.type = kE820Ram;
  }
  return page;
}

}  // namespace

Result<GuestRange> WriteBootParams(GuestMemory& memory, const BootParamsConfig& config) {
  const Layout layout;
  const uint64_t total_bytes = layout.device_tree + sizeof(SetupHeader) + config.device_tree.size();
  const auto range = GuestRange::Make(config.address, total_bytes);
  if (!range || range->end() > config.limit ||
      config.command_line.size() >= kLinuxCommandLineBytes) {
    return Fail(ErrorCode::kExhausted, "boot parameters of {} bytes do not fit", total_bytes);
  }
  HULL_ASSIGN(const boot_params page, MakeZeroPage(config, layout));
  const SetupHeader random = {.next = config.address.value() + layout.device_tree,
                              .type = kSetupRngSeed,
                              .size_bytes = kBootRandomBytes};
  const SetupHeader tree = {
      .next = 0, .type = kSetupDtb, .size_bytes = static_cast<uint32_t>(config.device_tree.size())};
  std::vector<std::byte> bytes(total_bytes);
  Put(bytes, 0, BytesOf(page));
  Put(bytes, layout.command_line,
      std::as_bytes(std::span(config.command_line.data(), config.command_line.size())));
  Put(bytes, layout.random, BytesOf(random));
  Put(bytes, layout.random + sizeof(SetupHeader), config.random);
  Put(bytes, layout.device_tree, BytesOf(tree));
  Put(bytes, layout.device_tree + sizeof(SetupHeader), config.device_tree);
  if (!memory.Write(config.address, bytes)) {
    return Fail(ErrorCode::kExhausted, "there is no memory at {:#x} for the boot parameters",
                config.address.value());
  }
  return *range;
}

}  // namespace hull
