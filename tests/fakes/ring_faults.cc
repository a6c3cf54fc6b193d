#include "tests/fakes/ring_faults.h"

#include <cstdint>

#include "vmm/virtio/ring_layout.h"

namespace hull {
namespace {

constexpr uint16_t kNext = VRING_DESC_F_NEXT;
constexpr uint16_t kWrite = VRING_DESC_F_WRITE;
constexpr uint16_t kIndirect = VRING_DESC_F_INDIRECT;

// Publishes one descriptor.
std::function<void(FakeRing&)> One(uint64_t address, uint32_t length, uint16_t flags,
                                   uint16_t next = 0) {
  return [=](FakeRing& ring) {
    ring.SetDescriptor(0, address, length, flags, next);
    ring.Publish(0);
  };
}

// Publishes an indirect table of these descriptors.
std::function<void(FakeRing&)> Table(std::vector<::vring_desc> descriptors) {
  return [descriptors = std::move(descriptors)](FakeRing& ring) {
    std::string content;
    for (const ::vring_desc& descriptor : descriptors) content += BytesOf(descriptor);
    ring.SetDescriptor(0, ring.guest().Place(content).value(),
                       static_cast<uint32_t>(content.size()), kIndirect, 0);
    ring.Publish(0);
  };
}

void CommitLongIndirectChain(FakeRing& ring) {
  std::vector<::vring_desc> descriptors;
  for (uint16_t i = 0; i < ring.size() + 1; ++i) {
    const bool is_last = i == ring.size();
    descriptors.push_back({.addr = 0x1000,
                           .len = 1,
                           .flags = is_last ? uint16_t{0} : kNext,
                           .next = static_cast<uint16_t>(is_last ? 0 : i + 1)});
  }
  Table(descriptors)(ring);
}

// A sum of 4 GiB, in pieces of memory that is there.
void CommitLargeSum(FakeRing& ring) {
  const uint64_t piece_bytes = (uint64_t{1} << 32U) / ring.size();
  for (uint16_t i = 0; i < ring.size(); ++i) {
    const bool is_last = i + 1 == ring.size();
    ring.SetDescriptor(i, 0, static_cast<uint32_t>(piece_bytes), is_last ? uint16_t{0} : kNext,
                       static_cast<uint16_t>(is_last ? 0 : i + 1));
  }
  ring.Publish(0);
}

std::vector<RingFault> MakeFaults() {
  std::vector<RingFault> faults = {
      {"HeadOutsideOfTheTable", [](FakeRing& ring) { ring.Publish(ring.size()); }},
      {"HeadFarOutsideOfTheTable", [](FakeRing& ring) { ring.Publish(0xffff); }},
      {"NextOutsideOfTheTable", [](FakeRing& ring) { One(0x1000, 1, kNext, ring.size())(ring); }},
      {"DescriptorFollowedByItself", One(0x1000, 1, kNext, 0)},
      {"EmptyDescriptorFollowedByItself", One(0x1000, 0, kNext, 0)},
      {"CircleOfTwo",
       [](FakeRing& ring) {
         ring.SetDescriptor(0, 0x1000, 1, kNext, 1);
         ring.SetDescriptor(1, 0x1000, 1, kNext, 0);
         ring.Publish(0);
       }},
      {"ReadableBehindWritable",
       [](FakeRing& ring) {
         ring.SetDescriptor(0, 0x1000, 8, kWrite | kNext, 1);
         ring.SetDescriptor(1, 0x2000, 8, 0, 0);
         ring.Publish(0);
       }},
      {"AddressInTheHole", One(FakeGuest::kHole, 1, 0)},
      {"BufferOverTheEndOfMemory", One(FakeGuest::kLowBytes - 1, 2, 0)},
      {"BufferOverTheStartOfMemory", One(FakeGuest::kHigh - 1, 2, kWrite)},
      {"AddressThatWraps", One(UINT64_MAX, 2, 0)},
      {"AddressAndLengthThatWrapToZero", One(UINT64_MAX - 4095, 4096, kWrite)},
      {"HugeLength", One(0x1000, UINT32_MAX, 0)},
      {"WritableInReadOnlyMemory", One(FakeGuest::kReadOnly, 8, kWrite)},
      {"LargeSum", CommitLargeSum},
      {"IndirectTableOfNoLength", One(0x1000, 0, kIndirect)},
      {"IndirectTableOfHalfADescriptor", One(0x1000, 24, kIndirect)},
      {"IndirectTableOutsideOfMemory", One(FakeGuest::kHole, 16, kIndirect)},
      {"IndirectTableOverTheEndOfMemory", One(FakeGuest::kLowBytes - 16, 32, kIndirect)},
      {"IndirectTableWithASuccessor", One(0x1000, 16, kIndirect | kNext, 1)},
      {"IndirectTableInsideAnother",
       Table({{.addr = 0x1000, .len = 16, .flags = kIndirect, .next = 0}})},
      {"NextOutsideOfTheIndirectTable",
       Table({{.addr = 0x1000, .len = 16, .flags = kNext, .next = 1}})},
      {"CircleInTheIndirectTable", Table({{.addr = 0x1000, .len = 16, .flags = kNext, .next = 0}})},
      {"IndirectAddressInTheHole",
       Table({{.addr = FakeGuest::kHole, .len = 16, .flags = kWrite, .next = 0}})},
      {"IndirectChainLongerThanTheQueue", CommitLongIndirectChain},
      {"IndexFurtherThanTheQueueIsLong",
       [](FakeRing& ring) {
         ring.SetAvailableIndex(static_cast<uint16_t>(ring.available_index() + ring.size() + 1));
       }},
      {"IndexGoesBackwards",
       [](FakeRing& ring) {
         ring.SetAvailableIndex(static_cast<uint16_t>(ring.available_index() - 1));
       }},
  };
  return faults;
}

}  // namespace

const std::vector<RingFault>& RingFaults() {
  static const std::vector<RingFault> faults = MakeFaults();
  return faults;
}

std::string NameOf(const RingFault& fault) {
  return fault.name;
}

}  // namespace hull
