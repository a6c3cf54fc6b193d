// A seccomp profile in docker's format (--security-opt seccomp=FILE), made into the linux.seccomp
// of an OCI configuration: conditions on capabilities, architecture and kernel are decided, the
// rest stays.
#pragma once

#include <cstdint>
#include <string_view>

#include <boost/json/object.hpp>

#include "vmm/base/result.h"

namespace hull {

// `capabilities`: those of the container. An empty object: the profile asks for no filter.
// kInvalidArgument: it is no such profile, and what is wrong with it.
Result<boost::json::object> SeccompDocument(std::string_view profile, uint64_t capabilities);

}  // namespace hull
