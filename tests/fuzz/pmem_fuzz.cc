// What a hostile guest can do to the persistent-memory device.
#include "tests/fuzz/device_fuzz.h"
#include "vmm/virtio/pmem/pmem.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hull::FuzzInput input(data, size);
  hull::Pmem pmem(
      "fuzz",
      hull::GuestRange::Make(hull::GuestAddress(uint64_t{4} << 30U), uint64_t{2} << 20U).value());
  hull::FuzzDevice(pmem, input, hull::HostileGuest::RingMemory::kOverlaps, nullptr);
  return 0;
}
