#include "tests/fakes/fake_guest.h"

#include <gtest/gtest.h>

namespace hull {
namespace {

void AddTo(GuestMemory& memory, uint64_t start, uint64_t size_bytes, GuestAccess access) {
  const auto range = GuestRange::Make(GuestAddress(start), size_bytes);
  EXPECT_TRUE(range && memory.AddRegion(*range, access)) << "no memory for the fake guest";
}

}  // namespace

FakeGuest::FakeGuest() {
  AddTo(memory_, 0, kLowBytes, GuestAccess::kReadWrite);
  AddTo(memory_, kHigh, kHighBytes, GuestAccess::kReadWrite);
  AddTo(memory_, kReadOnly, kReadOnlyBytes, GuestAccess::kReadOnly);
}

GuestAddress FakeGuest::Allocate(uint64_t size_bytes, uint64_t alignment) {
  const uint64_t start = (next_ + alignment - 1) & ~(alignment - 1);
  next_ = start + size_bytes;
  EXPECT_LE(next_, kLowBytes) << "the fake guest's memory is full";
  return GuestAddress(start);
}

GuestAddress FakeGuest::Place(std::string_view content) {
  const GuestAddress at = Allocate(content.size());
  Write(at, content);
  return at;
}

void FakeGuest::Write(GuestAddress at, std::string_view content) const {
  EXPECT_TRUE(memory_.Write(at, std::as_bytes(std::span(content)))) << at.value();
}

std::string FakeGuest::Read(GuestAddress at, size_t size_bytes) const {
  std::string content(size_bytes, '\0');
  EXPECT_TRUE(memory_.Read(at, std::as_writable_bytes(std::span(content)))) << at.value();
  return content;
}

}  // namespace hull
