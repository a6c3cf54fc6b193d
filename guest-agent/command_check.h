// Whether what a container is to run can be run at all: a script's interpreter or a program's
// dynamic loader may be missing. crun finds out too late to tell it apart from the program's own
// failure.
#pragma once

#include <boost/json/object.hpp>

#include "vmm/base/result.h"

namespace hull::agent {

// `root`: the container's root, as the process will see it (open directory). `process`: the OCI
// process. kNotFound, in docker's words, when the command is there and what it needs first is not.
// Whatever else is wrong is crun's to tell.
Status CheckInterpreter(int root, const boost::json::object& process);

}  // namespace hull::agent
