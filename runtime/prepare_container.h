// From what the user asked for and what the image says to all that a container is: its record and
// its OCI configuration. Everything that can be wrong with a request is found here, before anything
// is made.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/container_options.h"
#include "runtime/container_record.h"
#include "vmm/base/result.h"

namespace hull {

// What a container takes from its image.
struct ContainerImage {
  std::string id;      // "sha256:..."
  std::string config;  // the OCI image configuration, JSON text
  // File names in the store's directory of layers, lowest first, and the sum of their sizes.
  std::vector<std::string> layer_files;
  uint64_t layer_bytes = 0;
};

struct PreparedContainer {
  // All but the state; `name` is the user's, or the short id.
  ContainerRecord record;
  std::string oci_config;
  // For the user to read before the container starts, docker's way: "WARNING: ...".
  std::vector<std::string> warnings;
};

// `host_cpus`: online CPUs, the most that --cpus may ask for. Errors: kInvalidArgument (the
// request, in docker's words), kCorrupt (the image's configuration).
Result<PreparedContainer> PrepareContainer(std::string_view container_id,
                                           const ContainerOptions& options,
                                           const ContainerImage& image, uint32_t host_cpus);

}  // namespace hull
