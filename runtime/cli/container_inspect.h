// A container in the shape of docker's inspect.
#pragma once

#include <boost/json/object.hpp>

#include "runtime/containers.h"

namespace hull::cli {

// Docker's document, and what is hull's own under "Hull". `with_size`: SizeRw and SizeRootFs, too.
boost::json::object InspectContainer(const Containers& containers, const ContainerRecord& record,
                                     bool with_size);

}  // namespace hull::cli
