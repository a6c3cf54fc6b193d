#include "tests/fuzz/hostile_guest.h"

#include "vmm/virtio/ring_layout.h"

namespace hull {
namespace {

// Where buffers and indirect tables usually are.
constexpr uint64_t kScratch = 0x10000;
constexpr uint32_t kScratchBytes = 0x4000;

}  // namespace

void HostileGuest::Act(FakeRing& ring) {
  switch (input_.Below(8)) {
    case 0:
    case 1:
      WriteDescriptor(ring);
      break;
    case 2:
    case 3:
      WriteChain(ring);
      break;
    case 4:
      ring.Publish(input_.Take<uint16_t>());
      break;
    case 5:
      ring.SetAvailableIndex(static_cast<uint16_t>(ring.available_index() + input_.Take<int8_t>()));
      break;
    case 6: {
      const GuestAddress at(kScratch + input_.Below(kScratchBytes - 256));
      ring.guest().Write(at, input_.Text());
      break;
    }
    default:
      if (input_.Below(2) == 0) {
        ring.AskForInterruptAt(input_.Take<uint16_t>());
      } else {
        ring.AskForInterrupts(input_.Below(2) == 0);
      }
      break;
  }
}

uint64_t HostileGuest::Address(FakeRing& ring) {
  switch (input_.Below(16)) {
    case 0:
      return FakeGuest::kHole - input_.Below(64);
    case 1:
      return FakeGuest::kReadOnly + input_.Below(64);
    case 2:
      return FakeGuest::kHigh + FakeGuest::kHighBytes - input_.Below(64);
    case 3:
      return UINT64_MAX - input_.Below(64);
    case 4:
      return ring_memory_ == RingMemory::kApart ? FakeGuest::kHole
                                                : ring.descriptor_table().value();
    case 5:
      return ring_memory_ == RingMemory::kApart ? FakeGuest::kHole : ring.available_ring().value();
    case 6:
      return ring_memory_ == RingMemory::kApart ? FakeGuest::kHole : ring.used_ring().value();
    default:
      return kScratch + input_.Below(kScratchBytes);
  }
}

uint32_t HostileGuest::Length() {
  switch (input_.Below(16)) {
    case 0:
      return UINT32_MAX - input_.Below(32);
    case 1:
      return input_.Take<uint32_t>();
    case 2:
      return 0;
    case 3:
      return 16 * input_.Below(16);
    default:
      return input_.Take<uint8_t>();
  }
}

void HostileGuest::WriteDescriptor(FakeRing& ring) {
  const auto index = static_cast<uint16_t>(input_.Below(ring.size()));
  const uint64_t address = Address(ring);
  const uint32_t length = Length();
  const auto flags = static_cast<uint16_t>(input_.Below(8));
  const auto next = static_cast<uint16_t>(input_.Take<uint8_t>());
  if (input_.Below(4) != 0) {
    ring.SetDescriptor(index, address, length, flags, next);
    return;
  }
  // Into an indirect table, which is wherever a descriptor says that it is.
  const ::vring_desc descriptor = {.addr = address, .len = length, .flags = flags, .next = next};
  ring.guest().Write(GuestAddress(kScratch + 16 * uint64_t{index}), BytesOf(descriptor));
}

// A chain that is as it should be, unless its pieces are not.
void HostileGuest::WriteChain(FakeRing& ring) {
  const uint32_t first = input_.Below(ring.size());
  const uint32_t readable = input_.Below(4);
  const uint32_t count = readable + input_.Below(4);
  for (uint32_t i = 0; i < count; ++i) {
    const bool is_last = i + 1 == count;
    const int flags = (i < readable ? 0 : VRING_DESC_F_WRITE) | (is_last ? 0 : VRING_DESC_F_NEXT);
    const uint64_t address = Address(ring);
    ring.SetDescriptor(static_cast<uint16_t>((first + i) % ring.size()), address, Length(),
                       static_cast<uint16_t>(flags),
                       static_cast<uint16_t>((first + i + 1) % ring.size()));
  }
  ring.Publish(static_cast<uint16_t>(first));
}

}  // namespace hull
