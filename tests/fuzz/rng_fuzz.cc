// What a hostile guest can do to the entropy device.
#include "tests/fuzz/device_fuzz.h"
#include "vmm/virtio/rng/rng.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hull::FuzzInput input(data, size);
  hull::Rng rng;
  // Random bytes in a ring would make the next run of the same input another one.
  hull::FuzzDevice(rng, input, hull::HostileGuest::RingMemory::kApart, nullptr);
  return 0;
}
