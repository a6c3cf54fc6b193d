// HostileGuest: turns a fuzzer's bytes into what a guest can do to a ring: descriptors, heads,
// indexes and content of any kind, most of them close enough to valid ones to get past the first
// check.
#pragma once

#include <cstdint>

#include "tests/fakes/fake_ring.h"
#include "tests/fuzz/fuzz_input.h"

namespace hull {

class HostileGuest {
 public:
  enum class RingMemory {
    kApart,    // buffers never lie in the rings: what a device writes cannot change the input's
               // meaning
    kOverlaps  // they may
  };

  HostileGuest(FuzzInput& input, RingMemory ring_memory)
      : input_(input), ring_memory_(ring_memory) {}

  // Does one of those things to `ring`.
  void Act(FakeRing& ring);

 private:
  uint64_t Address(FakeRing& ring);
  uint32_t Length();
  void WriteDescriptor(FakeRing& ring);
  void WriteChain(FakeRing& ring);

  FuzzInput& input_;
  const RingMemory ring_memory_;
};

}  // namespace hull
