// Puts together the OCI runtime configuration (config.json) of a container: the image's
// configuration, Docker's defaults, and the user's flags.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/container_options.h"
#include "vmm/base/result.h"

namespace hull {

// Docker's least memory for a container.
inline constexpr uint64_t kMinContainerMemoryBytes = 6ULL << 20;

// Where the small init of --init is in the container; docker's place.
inline constexpr std::string_view kInitDestination = "/sbin/docker-init";

// The command line of the first process. kInvalidArgument: neither the image nor the user names
// one.
Result<std::vector<std::string>> CommandLine(const ImageProcess& image,
                                             const ContainerOptions& options);

// Docker's order: PATH, HOSTNAME, TERM (with a terminal), the image's, the user's; a later setting
// of a name replaces the earlier one in its place.
std::vector<std::string> Environment(const ImageProcess& image, const ContainerOptions& options,
                                     std::string_view hostname);

std::string HostnameOf(std::string_view container_id, const ContainerOptions& options);

// The document for the agent's Create, UTF-8 JSON. Users are not in it: the agent resolves them in
// the container's own /etc/passwd. Errors: kInvalidArgument.
Result<std::string> MakeOciConfig(std::string_view container_id, const ImageProcess& image,
                                  const ContainerOptions& options);

}  // namespace hull
