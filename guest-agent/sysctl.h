// Kernel parameters of a container (linux.sysctl of its configuration).
//
// Some belong to namespaces that the container has of its own: crun sets those. All others are the
// guest's, and the guest is the container's: net.* (the container has the guest's network), vm.*,
// and what else of kernel.* and fs.* a plain container could not have. Only those are refused that
// name a program which the kernel then runs outside of the container.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/object.hpp>

#include "vmm/base/result.h"

namespace hull::agent {

struct Sysctl {
  std::string name;
  std::string path;  // below /proc/sys
  std::string value;
};

// Takes the guest's own out of linux.sysctl; crun's stay. kInvalidArgument: not a name or a value,
// or one that is refused.
Result<std::vector<Sysctl>> TakeGuestSysctls(boost::json::object& config);

// Writes them below `directory` (/proc/sys). kInvalidArgument: the kernel has no such parameter, or
// refuses the value.
Status WriteSysctls(const std::vector<Sysctl>& sysctls, const std::string& directory);

}  // namespace hull::agent
