// --log-driver and --log-opt: hull keeps logs in files of its own format, and rotates them.
#pragma once

#include "runtime/cli/flag_reader.h"
#include "runtime/container_options.h"
#include "vmm/base/result.h"

namespace hull::cli {

// Errors in docker's words; kUnsupported for what only docker's drivers have.
Status ReadLogOptions(const FlagReader& reader, ContainerOptions& container);

}  // namespace hull::cli
