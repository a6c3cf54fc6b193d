// Requests of a hostile guest to a disk that may be written, one that may only be read, and one of
// parts.
//
// What must hold: nothing aborts; every answer has one of the three statuses and a used length
// within its chain; the file keeps its size, and its content where it is not to be written.
#include <endian.h>
#include <linux/virtio_blk.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>

#include "tests/fakes/device_harness.h"
#include "tests/fuzz/device_fuzz.h"
#include "tests/fuzz/fuzz_input.h"
#include "vmm/base/check.h"
#include "vmm/virtio/block/block.h"

namespace hull::block {
namespace {

constexpr size_t kFileBytes = 32 * 1024;

std::string Content() {
  std::string content(kFileBytes, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31 + (i >> 8U));
  return content;
}

UniqueFd MakeFile() {
  UniqueFd file(memfd_create("disk", MFD_CLOEXEC));
  const std::string content = Content();
  HULL_CHECK(pwrite(file.get(), content.data(), content.size(), 0) ==
             static_cast<ssize_t>(content.size()));
  return file;
}

std::string ContentOf(int file) {
  std::string content(static_cast<size_t>(lseek(file, 0, SEEK_END)), '\0');
  HULL_CHECK(pread(file, content.data(), content.size(), 0) ==
             static_cast<ssize_t>(content.size()));
  return content;
}

DiskContent Parts(UniqueFd file) {
  DiskContent content;
  content.size_bytes = 128 * 512;
  content.fillings.push_back(
      {.offset_bytes = 512, .data = std::vector<std::byte>(700, std::byte{7})});
  content.files.push_back({.offset_bytes = 4096, .fd = std::move(file), .size_bytes = kFileBytes});
  return content;
}

void SubmitRequest(FuzzInput& input, FakeRing& ring) {
  static constexpr uint32_t kTypes[] = {VIRTIO_BLK_T_IN,
                                        VIRTIO_BLK_T_OUT,
                                        VIRTIO_BLK_T_FLUSH,
                                        VIRTIO_BLK_T_GET_ID,
                                        VIRTIO_BLK_T_DISCARD,
                                        VIRTIO_BLK_T_WRITE_ZEROES,
                                        14,
                                        0xffffffff};
  const auto sector = [&]() -> uint64_t {
    return input.Below(8) == 0 ? input.Take<uint64_t>() : input.Below(160);
  };
  std::string readable = BytesOf(virtio_blk_outhdr{
      .type = htole32(kTypes[input.Below(8)]), .ioprio = 0, .sector = htole64(sector())});
  if (input.Below(16) == 0) readable.resize(input.Below(16));
  for (uint32_t i = input.Below(4); i > 0; --i) {
    if (input.Below(2) == 0) {
      readable += BytesOf(virtio_blk_discard_write_zeroes{
          .sector = htole64(sector()),
          .num_sectors = htole32(input.Below(8) == 0 ? input.Take<uint32_t>() : input.Below(64)),
          .flags = htole32(input.Below(3))});
    } else {
      readable += std::string(512 * input.Below(9), static_cast<char>(input.Below(256)));
    }
  }
  uint32_t writable = input.Below(3) == 0 ? 1 + 512 * input.Below(16) : input.Below(2048);
  auto chain = ring.Chain();
  if (input.Below(4) == 0) chain.Indirect();
  bool any = false;
  while (!readable.empty()) {
    const size_t cut = std::min<size_t>(readable.size(), 1 + input.Below(4096));
    chain.Readable(std::string_view(readable).substr(0, cut));
    readable.erase(0, cut);
    any = true;
    if (input.empty()) break;
  }
  while (writable > 0) {
    const uint32_t cut = std::min<uint32_t>(writable, 1 + input.Below(8192));
    chain.Writable(cut);
    writable -= cut;
    any = true;
    if (input.empty()) break;
  }
  if (any) chain.Submit();
}

void FuzzRequests(FuzzInput& input, Block& device) {
  DeviceHarness harness(device);
  HULL_CHECK(harness.Activate().has_value());
  bool stopped = false;
  while (!input.empty() && !stopped) {
    SubmitRequest(input, harness.ring(0));
    stopped = !harness.Notify(0);
    while (const auto used = harness.ring(0).TakeUsed()) {
      const std::string written = harness.ring(0).Written(used->id);
      HULL_CHECK(!written.empty() && used->length <= written.size());
      HULL_CHECK(static_cast<uint8_t>(written.back()) <= VIRTIO_BLK_S_UNSUPP);
    }
  }
  HULL_CHECK(harness.Reset());
  HULL_CHECK(harness.Activate().has_value());
}

}  // namespace
}  // namespace hull::block

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hull;
  SilenceLog();
  FuzzInput input(data, size);
  const uint32_t kind = input.Below(3);
  const bool rings = input.Below(4) == 0;
  const bool read_only = kind != 0;
  UniqueFd file = block::MakeFile();
  const std::unique_ptr<block::DiskEngine> engine = block::DiskEngine::CreateSynchronous();
  DiskContent content = kind == 2
                            ? block::Parts(UniqueFd(dup(file.get())))
                            : DiskContent::OfFile(UniqueFd(dup(file.get())), read_only).value();
  const std::unique_ptr<Block> device =
      Block::Create({.id = "fuzz", .read_only = read_only, .discard = true}, std::move(content),
                    *engine)
          .value();
  if (rings) {
    FuzzDevice(*device, input, HostileGuest::RingMemory::kOverlaps, nullptr);
  } else {
    block::FuzzRequests(input, *device);
  }
  device->Reset([] {});
  const std::string after = block::ContentOf(file.get());
  HULL_CHECK(after.size() == block::kFileBytes);
  if (read_only) HULL_CHECK(after == block::Content());
  return 0;
}
