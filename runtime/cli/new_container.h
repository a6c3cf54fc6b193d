// From the flags of `hull run` and `hull create` to a container that is there and not started.
#pragma once

#include <string>

#include "runtime/cli/run_options.h"
#include "runtime/containers.h"
#include "vmm/base/result.h"

namespace hull::cli {

// Gets the image (pulling it as the request says), works out what the container is, and makes it.
// Writes the cidfile and warnings.
Result<ContainerRecord> CreateContainer(const Containers& containers, const RunRequest& request);

// The same in two steps, for a command that has something to do between them.
struct NewContainer {
  ContainerRecord record;  // its id is known; nothing is made
  std::string oci_config;
  std::string cidfile;
};
Result<NewContainer> PrepareNewContainer(const Containers& containers, const RunRequest& request);
// If its image was removed meanwhile, it is made of what its name means now (kNotFound: nothing).
// An error leaves nothing. `run`: the container's run directory, if the caller has it.
Result<ContainerRecord> MakeNewContainer(const Containers& containers, const RunRequest& request,
                                         NewContainer container, const RunDirectory* run);

}  // namespace hull::cli
