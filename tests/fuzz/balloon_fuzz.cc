// What a hostile guest can do to the balloon.
#include "tests/fuzz/device_fuzz.h"
#include "vmm/virtio/balloon/balloon.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hull::FuzzInput input(data, size);
  hull::GuestMemory memory;
  const auto range = hull::GuestRange::Make(hull::GuestAddress(0), 1 << 20);
  if (!range || !memory.AddRegion(*range, hull::GuestAccess::kReadWrite)) return 0;
  hull::Balloon balloon(memory);
  // A ring that is given back would be an empty one: what is fuzzed lies apart from it.
  hull::FuzzDevice(balloon, input, hull::HostileGuest::RingMemory::kApart, nullptr);
  return 0;
}
