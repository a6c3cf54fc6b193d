#include "vmm/virtio/pmem/pmem.h"

#include <gtest/gtest.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pmem.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>

#include "tests/fakes/device_faults.h"
#include "tests/fakes/device_harness.h"
#include "vmm/base/unique_fd.h"
#include "vmm/virtio/pmem/pmem_content.h"

namespace hull {
namespace {

constexpr uint64_t kUnit = PmemContent::kSizeUnitBytes;
constexpr GuestAddress kStart{uint64_t{4} << 30U};

GuestRange Range(GuestAddress start, uint64_t size_bytes) {
  return GuestRange::Make(start, size_bytes).value();
}

class PmemTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(harness_.Activate()); }

  FakeRing& ring() { return harness_.ring(0); }
  // Notifies, and returns what the device wrote into its answer.
  std::string Answer() {
    EXPECT_TRUE(harness_.Notify(0));
    const auto used = ring().TakeUsed();
    return used ? ring().Written(*used) : "nothing";
  }

  Pmem pmem_{"root", Range(kStart, kUnit)};
  DeviceHarness harness_{pmem_};
};

const std::string kDone = BytesOf<uint32_t>(0);
const std::string kFailed = BytesOf<uint32_t>(UINT32_MAX);
const std::string kFlush = BytesOf<uint32_t>(VIRTIO_PMEM_REQ_TYPE_FLUSH);

TEST_F(PmemTest, TellsWhereItsRangeIs) {
  EXPECT_EQ(pmem_.name(), "pmem root");
  EXPECT_EQ(pmem_.device_id(), uint32_t{VIRTIO_ID_PMEM});
  EXPECT_EQ(harness_.ReadConfig<uint64_t>(0), kStart.value());
  EXPECT_EQ(harness_.ReadConfig<uint64_t>(8), kUnit);
  EXPECT_EQ(harness_.ReadConfig<uint32_t>(4), kStart.value() >> 32U);
  EXPECT_EQ(harness_.ReadConfig<uint64_t>(16), 0U);
}

TEST_F(PmemTest, FlushIsAnswered) {
  ring().Chain().Readable(kFlush).Writable(4).Submit();
  EXPECT_EQ(Answer(), kDone);
  EXPECT_EQ(harness_.signals().used_buffers, 1);
  EXPECT_EQ(pmem_.Counters()[0].value, 1U);
}

TEST_F(PmemTest, UnknownRequestFails) {
  ring().Chain().Readable(BytesOf<uint32_t>(1)).Writable(4).Submit();
  EXPECT_EQ(Answer(), kFailed);
  EXPECT_EQ(pmem_.Counters()[1].value, 1U);
}

TEST_F(PmemTest, ShortRequestFails) {
  ring().Chain().Readable("\0\0\0").Writable(4).Submit();
  EXPECT_EQ(Answer(), kFailed);
  ring().Chain().Writable(4).Submit();
  EXPECT_EQ(Answer(), kFailed);
}

TEST_F(PmemTest, RequestInPiecesOrLongerThanItNeedsToBeIsAnswered) {
  ring()
      .Chain()
      .Readable(kFlush.substr(0, 1))
      .Readable(kFlush.substr(1))
      .Writable(3)
      .Writable(9)
      .Submit();
  EXPECT_EQ(Answer(), kDone);
  ring().Chain().Readable(kFlush + "more").Writable(4096).Submit();
  EXPECT_EQ(Answer(), kDone);
}

TEST_F(PmemTest, AnswerThatDoesNotFitIsNotGiven) {
  ring().Chain().Readable(kFlush).Writable(3).Submit();
  EXPECT_EQ(Answer(), "");
  ring().Chain().Readable(kFlush).Submit();
  EXPECT_EQ(Answer(), "");
  EXPECT_EQ(pmem_.Counters()[1].value, 2U);
}

HULL_DEVICE_FAULT_TESTS(Pmem, [] {
  return std::make_unique<Pmem>(
      "root",
      GuestRange::Make(GuestAddress(uint64_t{4} << 30U), PmemContent::kSizeUnitBytes).value());
});

// --- PmemContent ---

UniqueFd FileOf(std::string_view content) {
  UniqueFd fd(::memfd_create("pmem_test", MFD_CLOEXEC));
  EXPECT_EQ(::write(fd.get(), content.data(), content.size()),
            static_cast<ssize_t>(content.size()));
  return fd;
}

std::string Text(const GuestMemory& memory, uint64_t offset, size_t size) {
  std::string text(size, '?');
  const bool found =
      memory.Read(kStart.Add(offset).value(), std::as_writable_bytes(std::span(text)));
  return found ? text : "no memory";
}

TEST(PmemContentTest, ShowsFilesFillingsAndZeroesReadOnly) {
  const UniqueFd one = FileOf("layer one");
  const UniqueFd two = FileOf("layer two");
  const std::string table = "table";
  PmemContent content{.size_bytes = kUnit, .files = {}, .fillings = {}};
  content.files = {{.offset_bytes = 4096, .fd = one.get(), .size_bytes = 9},
                   {.offset_bytes = 8192, .fd = two.get(), .size_bytes = 5}};
  const auto bytes = std::as_bytes(std::span(table));
  content.fillings = {{.offset_bytes = kUnit - 5, .data = {bytes.begin(), bytes.end()}}};
  GuestMemory memory;
  EXPECT_EQ(content.MapInto(memory, kStart).value(), Range(kStart, kUnit));
  EXPECT_EQ(Text(memory, 0, 4), std::string(4, '\0'));
  EXPECT_EQ(Text(memory, 4096, 10), std::string("layer one\0", 10));
  EXPECT_EQ(Text(memory, 8192, 9), "layer two");
  EXPECT_EQ(Text(memory, kUnit - 5, 5), "table");
  EXPECT_FALSE(memory.WriteObject<uint8_t>(kStart, 1));
  EXPECT_EQ(memory.ram_bytes(), 0U);
}

TEST(PmemContentTest, PiecesOutsideOfTheRangeAreRefused) {
  const UniqueFd fd = FileOf(std::string(8192, 'x'));
  const auto map = [](PmemContent content) {
    GuestMemory memory;
    return content.MapInto(memory, kStart).has_value();
  };
  EXPECT_TRUE(
      map({.size_bytes = kUnit, .files = {{kUnit - 4096, fd.get(), 4096}}, .fillings = {}}));
  EXPECT_FALSE(
      map({.size_bytes = kUnit, .files = {{kUnit - 4096, fd.get(), 4097}}, .fillings = {}}));
  EXPECT_FALSE(
      map({.size_bytes = kUnit, .files = {{UINT64_MAX - 4095, fd.get(), 8192}}, .fillings = {}}));
  EXPECT_FALSE(map({.size_bytes = kUnit, .files = {{100, fd.get(), 1}}, .fillings = {}}));
  EXPECT_FALSE(map({.size_bytes = kUnit, .files = {{0, fd.get(), 8193}}, .fillings = {}}));
  EXPECT_FALSE(map({.size_bytes = kUnit, .files = {}, .fillings = {{kUnit, {std::byte{1}}}}}));
  EXPECT_FALSE(
      map({.size_bytes = kUnit, .files = {{0, fd.get(), 1}}, .fillings = {{9, {std::byte{1}}}}}));
  EXPECT_FALSE(map({.size_bytes = kUnit + 4096, .files = {}, .fillings = {}}));
  EXPECT_FALSE(map({.size_bytes = 0, .files = {}, .fillings = {}}));
  EXPECT_FALSE(map({.size_bytes = UINT64_MAX & ~(kUnit - 1), .files = {}, .fillings = {}}));
}

}  // namespace
}  // namespace hull
