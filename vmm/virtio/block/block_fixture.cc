#include "vmm/virtio/block/block_fixture.h"

#include <endian.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace hull::block {

std::string HeaderOf(uint32_t type, uint64_t sector) {
  return BytesOf(virtio_blk_outhdr{.type = htole32(type), .ioprio = 0, .sector = htole64(sector)});
}

std::string Pattern(size_t bytes, uint32_t seed) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(((i + seed) * 2654435761U) >> 13U);
  return text;
}

UniqueFd FileWith(std::string_view content) {
  // Not /tmp's file system but always tmpfs: punching holes works wherever the test runs.
  UniqueFd fd(memfd_create("disk", MFD_CLOEXEC));
  EXPECT_EQ(pwrite(fd.get(), content.data(), content.size(), 0),
            static_cast<ssize_t>(content.size()));
  return fd;
}

std::string ContentOf(int fd) {
  std::string content(static_cast<size_t>(lseek(fd, 0, SEEK_END)), '\0');
  EXPECT_EQ(pread(fd, content.data(), content.size(), 0), static_cast<ssize_t>(content.size()));
  return content;
}

BlockFixture::~BlockFixture() {
  if (device_) device_->Reset([] {});
  device_.reset();
}

HeldEngine& BlockFixture::UseHeld() {
  auto engine = std::make_unique<HeldEngine>();
  HeldEngine& held = *engine;
  engine_ = std::move(engine);
  return held;
}

void BlockFixture::MakeDisk(std::string_view content, Block::Options options) {
  file_ = FileWith(content);
  const bool read_only = options.read_only;
  MakeDevice(DiskContent::OfFile(UniqueFd(dup(file_.get())), read_only).value(),
             std::move(options));
}

void BlockFixture::MakeDevice(DiskContent content, Block::Options options) {
  harness_.reset();
  device_.reset();
  device_ = Block::Create(std::move(options), std::move(content), *engine_).value();
  harness_.emplace(*device_);
  ASSERT_TRUE(harness_->Activate());
}

BlockFixture::Answer BlockFixture::Await(uint16_t head) {
  EXPECT_TRUE(harness_->Notify(0));
  const auto end = std::chrono::steady_clock::now() + kPatience;
  std::optional<FakeRing::Used> used;
  while (!(used = ring().TakeUsed())) {
    if (std::chrono::steady_clock::now() > end) {
      ADD_FAILURE() << "no answer";
      return {};
    }
    loop_->PollFor(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(used->id, head);
  std::string written = ring().Written(used->id);
  Answer answer{.used = used->length};
  if (written.empty()) return answer;
  answer.status = static_cast<uint8_t>(written.back());
  written.pop_back();
  answer.data = std::move(written);
  return answer;
}

BlockFixture::Answer BlockFixture::Read(uint64_t sector, uint32_t bytes) {
  auto chain = ring().Chain();
  chain.Readable(HeaderOf(VIRTIO_BLK_T_IN, sector));
  if (bytes > 0) chain.Writable(bytes);
  return Await(chain.Writable(1).Submit());
}

BlockFixture::Answer BlockFixture::Write(uint64_t sector, std::string_view data) {
  auto chain = ring().Chain();
  chain.Readable(HeaderOf(VIRTIO_BLK_T_OUT, sector));
  if (!data.empty()) chain.Readable(data);
  return Await(chain.Writable(1).Submit());
}

BlockFixture::Answer BlockFixture::Ask(uint32_t type, std::string_view data, uint32_t writable) {
  auto chain = ring().Chain();
  chain.Readable(HeaderOf(type, 0));
  if (!data.empty()) chain.Readable(data);
  return Await(chain.Writable(writable).Submit());
}

uint64_t BlockFixture::Counter(std::string_view name) const {
  for (const CounterReading& reading : device_->Counters())
    if (reading.name == name) return reading.value;
  ADD_FAILURE() << "no counter " << name;
  return 0;
}

}  // namespace hull::block
