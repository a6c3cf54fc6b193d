// Sets of Linux capabilities, as bit masks of their numbers, and docker's way of naming them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.h"

namespace hull {

struct SecurityOptions;

// All that the guest's kernel has.
uint64_t AllCapabilities();

// "CAP_NET_ADMIN"; `number` below 64. Empty: there is none.
std::string_view CapabilityName(int number);
// -1: there is none.
int CapabilityNumber(std::string_view name);

// In the order of their numbers.
std::vector<std::string_view> CapabilityNames(uint64_t mask);

// "net_admin" and "CAP_NET_ADMIN" become "CAP_NET_ADMIN", "all" becomes "ALL". kInvalidArgument, in
// docker's words.
Result<std::vector<std::string>> NormalizeCapabilities(const std::vector<std::string>& names);

// What the container has in the end: everything if privileged; else docker's defaults, less what is
// dropped, and what is added. "ALL" added takes precedence over "ALL" dropped, as with docker.
Result<uint64_t> ResolveCapabilities(const SecurityOptions& security);

}  // namespace hull
