// Which queue of a device: 0 is the first one in the device's section of the specification.
#pragma once

#include <cstdint>

namespace hull {

enum class QueueIndex : uint16_t {};

}  // namespace hull
