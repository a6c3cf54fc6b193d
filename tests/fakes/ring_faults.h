// What a hostile or broken driver does to a ring. Every queue must refuse the faults and put up
// with the oddities; every device must hand the error on, and work again after a reset.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/fakes/fake_ring.h"

namespace hull {

struct RingFault {
  std::string name;
  // Publishes something that is not credible.
  std::function<void(FakeRing&)> commit;
};

// For rings with VIRTIO_RING_F_INDIRECT_DESC, of any size from 2 on.
const std::vector<RingFault>& RingFaults();

// The name of a fault as that of a parametrised test.
std::string NameOf(const RingFault& fault);

}  // namespace hull
