// The Linux part of an OCI configuration: namespaces, limits, devices, mounts, system calls.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "runtime/container_options.h"
#include "vmm/base/result.h"

namespace hull {

boost::json::object LinuxSection(const ContainerOptions& options);

// Docker's mounts and the user's.
Result<boost::json::array> Mounts(const ContainerOptions& options);

// Adds the system call filter to `config`: as linux.seccomp, or finished as an annotation.
// `capabilities`: those of the container, on which docker's rules depend.
Status AddSeccomp(const SecurityOptions& security, uint64_t capabilities,
                  boost::json::object& config);

}  // namespace hull
