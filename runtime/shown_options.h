// What was asked for, in the shape of docker's inspect: for people, and for programs that read it
// there. Nothing is started from it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "runtime/container_options.h"

namespace hull {

// {"Config": {...}, "HostConfig": {...}}. `labels`: the image's and the user's, "name=value".
boost::json::object ShowOptions(std::string_view container_id, const ImageProcess& image,
                                const ContainerOptions& options,
                                const std::vector<std::string>& labels);

}  // namespace hull
