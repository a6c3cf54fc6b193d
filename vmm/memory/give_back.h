// Memory that the guest does not need any more.
#pragma once

#include <cstdint>

#include "vmm/memory/guest_slice.h"

namespace hull {

// Returns to the host the whole pages in each of `pieces`, which are writable guest memory: they
// read as zeroes afterwards (where a file was mapped, as the file). Any thread, also while the
// guest runs. Returns how many bytes that was; what the host declines stays as it is.
uint64_t GiveBack(const IoVectors& pieces);

}  // namespace hull
