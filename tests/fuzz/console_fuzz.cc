// What a hostile guest can do to the console while the host sends it input.
#include "tests/fuzz/device_fuzz.h"
#include "vmm/virtio/console/console.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hull::FuzzInput input(data, size);
  uint64_t sunk_bytes = 0;
  hull::Console console([&](std::span<const std::byte> output) { sunk_bytes += output.size(); });
  hull::FuzzDevice(console, input, hull::HostileGuest::RingMemory::kOverlaps,
                   [&](hull::FuzzInput& bytes) {
                     const std::string text = bytes.Text();
                     HULL_CHECK(console.SendInput(text) <= text.size());
                   });
  const size_t kept_bytes = console.Output().size();
  HULL_CHECK(kept_bytes <= hull::Console::kKeptOutputBytes && kept_bytes <= sunk_bytes);
  HULL_CHECK(console.LastLines(3).size() <= kept_bytes);
  return 0;
}
