// Changes to an image's configuration, written as Dockerfile instructions: docker commit --change,
// docker import --change.
#pragma once

#include <string_view>

#include <boost/json/object.hpp>

#include "vmm/base/result.h"

namespace hull {

// Applies one instruction to `config`, the "config" object of an OCI image configuration. Known are
// CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR. kUnsupported:
// another one; kInvalidArgument: wrong arguments.
Status ApplyImageChange(boost::json::object& config, std::string_view instruction);

}  // namespace hull
